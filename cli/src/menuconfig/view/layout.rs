//! Which part of the screen is for what.

use ratatui::layout::Rect;

use crate::menuconfig::state::Pane;

/// From this width on, the pane is beside the rows and not below them.
const WIDE: u16 = 110;
/// Lines that the rows keep when there is a pane below them.
const ROWS_MIN: u16 = 7;
/// Fewer lines make no pane.
const PANE_MIN: u16 = 4;

/// The parts of the screen; each may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Areas {
    /// All of it.
    pub(crate) whole: Rect,
    /// What this is and where it goes.
    pub(crate) title: Rect,
    /// The way from the top.
    pub(crate) path: Rect,
    /// Everything between the lines above and below.
    pub(crate) body: Rect,
    /// The menu.
    pub(crate) rows: Rect,
    /// The pane, with the line that divides it from the rows or an empty one.
    pub(crate) pane: Rect,
    /// What is to be known now; empty where it has to take the place of the keys.
    pub(crate) notice: Rect,
    /// What the keys do.
    pub(crate) hints: Rect,
}

/// Divides a screen of columns and rows.
pub(crate) fn areas((width, height): (u16, u16), pane: Pane) -> Areas {
    let line =
        |y: u16, wanted: bool| Rect { x: 0, y, width, height: u16::from(wanted && y < height) };
    let title = line(0, height >= 4);
    let path = line(title.height, height >= 8);
    let foot = u16::from(height >= 3) + u16::from(height >= 12);
    let above = title.height + path.height;
    let body = Rect { x: 0, y: above, width, height: height.saturating_sub(above + foot) };
    let hints = line(height.saturating_sub(1), height >= 3);
    let notice = line(height.saturating_sub(2), height >= 12);
    let (mut rows, mut below) = (body, Rect { height: 0, ..body });
    if pane != Pane::Closed && width >= WIDE && body.height >= PANE_MIN {
        let beside = width * 9 / 20;
        rows.width = width - beside;
        below = Rect { x: rows.width, width: beside, ..body };
    } else if pane != Pane::Closed && body.height >= ROWS_MIN + PANE_MIN {
        let lines = (body.height * 2 / 5).max(PANE_MIN);
        rows.height = body.height - lines;
        below = Rect { y: rows.y + rows.height, height: lines, ..body };
    }
    let whole = Rect { x: 0, y: 0, width, height };
    Areas { whole, title, path, body, rows, pane: below, notice, hints }
}

/// Which line of `area` the cell is in.
pub(crate) fn hit(area: Rect, column: u16, row: u16) -> Option<usize> {
    let inside = column >= area.x
        && column - area.x < area.width
        && row >= area.y
        && row - area.y < area.height;
    inside.then(|| usize::from(row - area.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_leaves_the_screen_or_covers_another() {
        for width in [0, 1, 7, 80, 109, 110, 300] {
            for height in 0..60 {
                for pane in [Pane::Help, Pane::Closed] {
                    let areas = areas((width, height), pane);
                    let all = [
                        areas.title,
                        areas.path,
                        areas.rows,
                        areas.pane,
                        areas.notice,
                        areas.hints,
                    ];
                    let parts: Vec<Rect> = all.into_iter().filter(|part| part.area() > 0).collect();
                    let covered: u32 = parts.iter().map(|part| part.area()).sum();
                    let space = u32::from(width) * u32::from(height);
                    assert!(covered <= space, "{width}x{height}: {areas:?}");
                    for (at, part) in parts.iter().enumerate() {
                        assert!(part.right() <= width && part.bottom() <= height, "{areas:?}");
                        let others = &parts[at + 1..];
                        assert!(others.iter().all(|other| !part.intersects(*other)), "{areas:?}");
                    }
                    // There is a row wherever there is a cell.
                    assert_eq!(areas.rows.area() > 0, space > 0, "{width}x{height}: {areas:?}");
                }
            }
        }
    }
}
