//! Where a project is fetched from.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use kbs_plan::error::{Class, Help};

/// Where a project is fetched from: an absolute path, or a `file`, `https`, `http`, `ssh` or `git`
/// URL, or `[user@]host:path`.
///
/// Shown without passwords; the whole text goes only to git and to the project's record.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl {
    text: String,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The byte at which the path begins.
    Local {
        path_at: usize,
    },
    Remote(Scheme),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Https,
    Http,
    Ssh,
    Git,
}

const SCHEMES: [(&str, Scheme); 4] = [
    ("https://", Scheme::Https),
    ("http://", Scheme::Http),
    ("ssh://", Scheme::Ssh),
    ("git://", Scheme::Git),
];

/// The text is not a place a project can be fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a source: it {reason}")]
pub struct UrlError {
    shown: String,
    reason: &'static str,
}

impl Help for UrlError {
    fn class(&self) -> Class {
        Class::User
    }

    fn help(&self) -> Option<String> {
        Some("give an absolute path, or a URL such as https://host/project.git".to_owned())
    }
}

impl SourceUrl {
    /// Checks `text` and takes it.
    ///
    /// # Errors
    /// [`UrlError`] naming the rule that was broken.
    pub fn new(text: impl Into<String>) -> Result<Self, UrlError> {
        let text = text.into();
        match place(&text) {
            Ok(place) => Ok(Self { text, place }),
            Err(reason) => {
                Err(UrlError { shown: without_secrets(&text).escape_debug().to_string(), reason })
            }
        }
    }

    /// The path, if this is one or a `file` URL.
    pub fn local_path(&self) -> Option<&Path> {
        match self.place {
            Place::Local { path_at } => Some(Path::new(&self.text[path_at..])),
            Place::Remote(_) => None,
        }
    }

    /// The whole text, passwords included: for git and the record, never for a person.
    pub(crate) fn with_secrets(&self) -> &str {
        &self.text
    }

    /// The secret part between `//` and `@`, if any: what must not reach a log.
    pub(crate) fn secret(&self) -> Option<&str> {
        let (start, end) = userinfo(&self.text)?;
        let info = &self.text[start..end];
        match self.place {
            Place::Remote(Scheme::Https | Scheme::Http) => Some(info),
            _ => info.split_once(':').map(|(_, password)| password),
        }
        .filter(|secret| !secret.is_empty())
    }

    /// The transports git may use to reach it, in the form of `GIT_ALLOW_PROTOCOL`.
    pub(crate) fn allowed_protocols(&self) -> &'static str {
        match self.place {
            Place::Local { .. } => "file",
            Place::Remote(Scheme::Https) => "https",
            // A server may send its visitors to the encrypted port, never away from it.
            Place::Remote(Scheme::Http) => "http:https",
            Place::Remote(Scheme::Ssh) => "ssh",
            Place::Remote(Scheme::Git) => "git",
        }
    }

    /// The place `text`, found in this project's `.gitmodules`, stands for.
    ///
    /// A repository that came over the network cannot make us read a path of this machine.
    ///
    /// # Errors
    /// [`UrlError`] as [`SourceUrl::new`], and for such a path.
    pub(crate) fn submodule(&self, text: &str) -> Result<Self, UrlError> {
        let url = if text == "." || text.starts_with("./") || text.starts_with("../") {
            Self::new(self.joined(text)?)?
        } else {
            Self::new(text)?
        };
        if url.local_path().is_some() && self.local_path().is_none() {
            let shown = url.to_string();
            return Err(UrlError { shown, reason: "is a local path, asked for from the network" });
        }
        Ok(url)
    }

    fn joined(&self, relative: &str) -> Result<String, UrlError> {
        let fixed = match self.place {
            Place::Local { path_at } => path_at,
            Place::Remote(_) => match self.text.split_once("://") {
                Some((scheme, rest)) => scheme.len() + 3 + rest.find('/').unwrap_or(rest.len()),
                None => self.text.find(':').map_or(0, |colon| colon + 1),
            },
        };
        let (front, path) = self.text.split_at(fixed);
        let mut parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." if parts.last().is_some_and(|last| !last.is_empty()) => {
                    parts.pop();
                }
                ".." => {
                    let shown = relative.escape_debug().to_string();
                    return Err(UrlError { shown, reason: "leads above the project's server" });
                }
                name => parts.push(name),
            }
        }
        Ok(format!("{front}{}", parts.join("/")))
    }
}

fn place(text: &str) -> Result<Place, &'static str> {
    if text.chars().any(|c| c.is_control() || c == '\u{fffd}') {
        return Err("contains control characters");
    }
    if text.is_empty() || text.starts_with('-') || text.trim() != text {
        return Err("is empty, or begins with `-` or a space");
    }
    if text.starts_with('/') {
        return Ok(Place::Local { path_at: 0 });
    }
    if let Some(path) = text.strip_prefix("file://") {
        if !path.starts_with('/') || path.contains('%') {
            return Err("is not `file:///` and a plain path");
        }
        return Ok(Place::Local { path_at: text.len() - path.len() });
    }
    for (prefix, scheme) in SCHEMES {
        if let Some(rest) = text.strip_prefix(prefix) {
            let authority = rest.split('/').next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            let bracketed = host.starts_with('[') && host.contains(']');
            let named = host.starts_with(|c: char| c.is_ascii_alphanumeric());
            if authority.starts_with('-') || !(named || bracketed) {
                return Err("names no host");
            }
            return Ok(Place::Remote(scheme));
        }
    }
    if text.contains("://") || text.contains("::") {
        return Err("has a scheme other than file, https, http, ssh and git");
    }
    if is_scp_like(text) {
        return Ok(Place::Remote(Scheme::Ssh));
    }
    Err("is neither an absolute path nor a URL")
}

/// `[user@]host:path`.
fn is_scp_like(text: &str) -> bool {
    let Some((login, path)) = text.split_once(':') else { return false };
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric())
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let login_ok = match login.split_once('@') {
        Some((user, host)) => word(user) && word(host),
        None => word(login),
    };
    login_ok && !path.is_empty() && !path.starts_with('-')
}

/// Start and end byte of what stands between `//` and the last `@` of the authority.
fn userinfo(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://")? + 3;
    let authority_end = text[start..].find('/').map_or(text.len(), |at| start + at);
    let at = text[start..authority_end].rfind('@')?;
    Some((start, start + at))
}

fn without_secrets(text: &str) -> String {
    let Some((start, end)) = userinfo(text) else { return text.to_owned() };
    let shown = match text[start..end].split_once(':') {
        // Over http a bare user name may be an access token.
        None if !text.starts_with("http") => &text[start..end],
        Some((user, _)) if !text.starts_with("http") => user,
        _ => "***",
    };
    format!("{}{shown}{}", &text[..start], &text[end..])
}

impl fmt::Display for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_secrets(&self.text))
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&without_secrets(&self.text), f)
    }
}

impl FromStr for SourceUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SourceUrl {
        SourceUrl::new(text).unwrap()
    }

    #[test]
    fn only_plain_places_are_sources() {
        for good in [
            "/srv/git/a.git",
            "file:///srv/a",
            "https://host/a.git",
            "http://[::1]:80/a",
            "ssh://git@host:22/a",
            "git://host/a",
            "git@host:a/b.git",
            "host:a",
        ] {
            assert!(SourceUrl::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-u",
            "--upload-pack=x",
            "a/b",
            "./a",
            "ext::sh -c id",
            "ftp://host/a",
            "file://host/a",
            "file:///a%2f",
            "https:///a",
            "ssh://-oProxyCommand=x/a",
            "-x@host:a",
            "host:-a",
            "/a\n",
            " /a",
        ] {
            assert!(SourceUrl::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn passwords_are_never_shown() {
        for (text, shown) in [
            ("https://me:secret@host/a", "https://***@host/a"),
            ("https://secret@host/a", "https://***@host/a"),
            ("ssh://git:secret@host/a", "ssh://git@host/a"),
            ("ssh://git@host/a", "ssh://git@host/a"),
        ] {
            assert_eq!(url(text).to_string(), shown);
            assert!(!format!("{:?}", url(text)).contains("secret"));
        }
        let error = SourceUrl::new("https://me:secret@host/\n").unwrap_err();
        assert!(!error.to_string().contains("secret"));
        assert_eq!(url("https://me:secret@host/a").secret(), Some("me:secret"));
        assert_eq!(url("ssh://git@host/a").secret(), None);
    }

    #[test]
    fn relative_submodules_stay_on_the_server() {
        for (base, relative, resolved) in [
            ("https://host/a/b.git", "../c.git", "https://host/a/c.git"),
            ("https://host/a/b.git", "./c.git", "https://host/a/b.git/c.git"),
            ("git@host:a/b", "../c", "git@host:a/c"),
            ("/srv/a", "../c", "/srv/c"),
            ("file:///srv/a/", "../c", "file:///srv/c"),
        ] {
            assert_eq!(url(base).submodule(relative).unwrap(), url(resolved));
        }
        assert!(url("https://host/a").submodule("../../../x").is_err());
        assert!(url("https://host/a").submodule("/etc").is_err());
        assert!(url("https://host/a").submodule("file:///etc").is_err());
        assert!(url("/srv/a").submodule("/srv/b").is_ok());
    }
}
