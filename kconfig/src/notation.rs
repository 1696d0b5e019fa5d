//! How a project's configurations are written.

use crate::dialect::Strings;
use crate::symbol::Prefix;
use crate::value::{Value, ValueError};

/// How a project's configurations are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notation {
    /// What symbols begin with.
    pub prefix: Prefix,
    /// How strings stand between their quotes.
    pub strings: Strings,
}

impl Default for Notation {
    fn default() -> Self {
        Self { prefix: Prefix::default(), strings: Strings::Escaped }
    }
}

impl Notation {
    /// The value that `spelling` is.
    pub(crate) fn read(&self, spelling: &str) -> Result<Value, ValueError> {
        match (self.strings, spelling.strip_prefix('"')) {
            (Strings::Plain, Some(rest)) => {
                Value::text(rest.strip_suffix('"').ok_or(ValueError::Malformed)?)
            }
            _ => spelling.parse(),
        }
    }

    /// A value as it is spelled.
    pub(crate) fn spelled(&self, value: &Value) -> String {
        match (self.strings, value) {
            (Strings::Plain, Value::Text(text)) => format!("\"{}\"", text.as_str()),
            _ => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;
    use crate::dotconfig::{canonical, parse};
    use crate::files::FileMap;
    use crate::kconfig::Kconfig;
    use crate::shell::NoShell;

    #[test]
    fn what_the_tool_writes_survives_being_read_in_its_notation() {
        let files: FileMap = [("Kconfig", "config A\n\tstring \"a\"\n")].into_iter().collect();
        for dialect in [Dialect::U_BOOT, Dialect::CONF] {
            let notation = Notation { strings: dialect.strings, ..Notation::default() };
            let kconfig = Kconfig::load("Kconfig", &files, dialect, &[].into(), &NoShell).unwrap();
            for value in [r#"run "x""#, r"C:\dir\", r"\", r#"""#, r#"\""#, "", "# x", "y"] {
                let mut configuration = kconfig.evaluate();
                configuration.set("A", value).unwrap();
                let text = canonical(&configuration.to_dotconfig(), &notation).unwrap();
                let read = parse(&text, "x", &notation).unwrap().assignments;
                assert_eq!(read.get("A"), Some(&Value::text(value).unwrap()), "{text}");
                let mut again = kconfig.evaluate();
                again.load(&text);
                assert_eq!(again.value("A").as_deref(), Some(value), "{text}");
            }
        }
    }

    #[test]
    fn strings_without_escapes_are_no_more_than_strings() {
        let notation = Notation { strings: Strings::Plain, ..Notation::default() };
        for line in ["CONFIG_A=\"", "CONFIG_A=\"x", "CONFIG_A=\"x\" ", "CONFIG_A=\"x\"\\"] {
            let reading = parse(line, "x", &notation).unwrap();
            assert_eq!((reading.assignments.len(), reading.ignored_total), (0, 1), "{line}");
        }
        assert!(parse("CONFIG_A=\"a\" $(shell id)\"", "x", &notation).is_err());
        assert!(parse("CONFIG_A=\"a\r\"", "x", &notation).is_err());
        assert_eq!(canonical("CONFIG_A=\"a\\\"b\"\n", &notation).unwrap(), "CONFIG_A=\"a\\\"b\"\n");
        assert_eq!(
            canonical("CONFIG_A=0x1F\nCONFIG_B=m\n", &notation).unwrap(),
            "CONFIG_A=0x1F\nCONFIG_B=m\n"
        );
    }
}
