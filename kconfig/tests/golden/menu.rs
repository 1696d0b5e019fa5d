//! Prints the menu, a line for each entry, as `menu.py` and `menu.c` do.

use std::fmt::Write as _;

use kbs_kconfig::{Configuration, EntryId, EntryKind, Kconfig, Listing, Menu, Settable, Tristate};

/// What is shown at the moment, and what there is at all.
pub(crate) fn lines(kconfig: &Kconfig, configuration: &Configuration<'_>) -> String {
    let menu = Menu::of(kconfig);
    let mut text = String::new();
    for (title, listing) in [("shown:\n", Listing::Shown), ("all:\n", Listing::All)] {
        text += title;
        let mut printer = Printer { kconfig, configuration, menu: &menu, listing, text: &mut text };
        printer.print(menu.root(), 0);
    }
    text
}

struct Printer<'p> {
    kconfig: &'p Kconfig,
    configuration: &'p Configuration<'p>,
    menu: &'p Menu,
    listing: Listing,
    text: &'p mut String,
}

impl Printer<'_> {
    fn print(&mut self, id: EntryId, level: usize) {
        for row in self.configuration.list(self.menu, id, self.listing) {
            let entry = self.kconfig.entry(row.id);
            let title = entry.title.unwrap_or_default();
            let indent = "  ".repeat(level) + &". ".repeat(row.depth);
            match entry.kind {
                EntryKind::Menu => writeln!(self.text, "{indent}menu|{title}").unwrap(),
                EntryKind::Comment => writeln!(self.text, "{indent}comment|{title}").unwrap(),
                kind => {
                    let setting = self.configuration.setting(row.id);
                    let kind = if kind == EntryKind::Choice { "choice" } else { "symbol" };
                    let name = entry.symbol.unwrap_or_default();
                    let value = setting.value.unwrap_or_default();
                    let settable = settable(&setting.settable);
                    writeln!(self.text, "{indent}{kind}|{title}|{name}|{value}|{settable}")
                        .unwrap();
                }
            }
            if entry.opens {
                self.print(row.id, level + 1);
            }
        }
    }
}

fn settable(settable: &Settable) -> String {
    match settable {
        Settable::Logic(values) => values.iter().copied().map(Tristate::as_str).collect(),
        Settable::Number { range: Some((low, high)), .. } => format!("{low}..{high}"),
        Settable::Number { range: None, .. } | Settable::Text => "..".to_owned(),
        _ => "-".to_owned(),
    }
}
