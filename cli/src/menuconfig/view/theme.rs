//! How things look. Colours only repeat what is said without them.

use ratatui::style::{Color, Modifier, Style};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A row, or text to read.
    Plain,
    /// The first line of the screen.
    Title,
    /// The chosen row, marked with `>` as well.
    Chosen,
    /// An entry that differs from what was saved, marked with `~` as well.
    Changed,
    /// What is hidden at the moment, marked in words as well.
    Hidden,
    /// What stands above something.
    Heading,
    /// A line for the person.
    Notice,
    /// Something was refused; marked with `!` as well.
    Refusal,
    /// What is good to know.
    Dim,
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Theme {
    /// Those of the terminal.
    Colours,
    /// None: bold, dim, underlined and reversed only.
    Plain,
}

impl Theme {
    pub(super) fn style(self, role: Role) -> Style {
        let style = match role {
            Role::Plain | Role::Notice => Style::new(),
            Role::Title | Role::Chosen => Style::new().add_modifier(Modifier::REVERSED),
            Role::Changed | Role::Heading | Role::Refusal => {
                Style::new().add_modifier(Modifier::BOLD)
            }
            Role::Hidden | Role::Dim => Style::new().add_modifier(Modifier::DIM),
        };
        // Blue and yellow are told apart by all who see colours at all.
        match (self, role) {
            (Self::Colours, Role::Changed) => style.fg(Color::Yellow),
            (Self::Colours, Role::Heading) => style.fg(Color::Cyan),
            (Self::Colours, Role::Refusal) => style.fg(Color::LightRed),
            _ => style,
        }
    }
}
