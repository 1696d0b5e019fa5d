//! The walls of a jail, one by one.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A part of the jail that keeps a build from something.
///
/// A jail has all of them, except what [`JailSpec::without`](crate::JailSpec::without) names: what
/// an operator does without where the kernel lacks it, and what a test leaves out to show that it is
/// this wall that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wall {
    /// A network of its own, with nothing in it.
    NetNamespace,
    /// Processes of its own; none outlives the first.
    PidNamespace,
    /// System V memory, semaphores and queues of its own.
    IpcNamespace,
    /// A host name of its own.
    UtsNamespace,
    /// No namespaces below the jail's own.
    NestedNamespaces,
    /// Closing what the helper has open.
    Descriptors,
    /// The image, inputs and devices cannot be changed.
    ReadOnly,
    /// Set-id bits and device nodes of the image and the scratch have no effect.
    SafeMounts,
    /// Taking the host's root away.
    OldRoot,
    /// A writable layer over the source; without it, the source is copied.
    Overlay,
    /// `/proc`; without it, the jail has none.
    Proc,
    /// Hiding the first process in `/proc`.
    HiddenFirst,
    /// Keeping the first process from being traced and looked into.
    FirstUntraced,
    /// Resource limits of processes.
    ResourceLimits,
    /// Capabilities given up, and `no_new_privs`.
    Capabilities,
    /// Landlock.
    Landlock,
    /// The system call filter.
    Filter,
}

impl Wall {
    /// Every wall.
    pub const ALL: [Self; 17] = [
        Self::NetNamespace,
        Self::PidNamespace,
        Self::IpcNamespace,
        Self::UtsNamespace,
        Self::NestedNamespaces,
        Self::Descriptors,
        Self::ReadOnly,
        Self::SafeMounts,
        Self::OldRoot,
        Self::Overlay,
        Self::Proc,
        Self::HiddenFirst,
        Self::FirstUntraced,
        Self::ResourceLimits,
        Self::Capabilities,
        Self::Landlock,
        Self::Filter,
    ];

    /// Those that an operator may do without. The others are what a jail is made of.
    pub const OPTIONAL: [Self; 4] = [Self::Overlay, Self::Proc, Self::Landlock, Self::Filter];

    /// Its name in configuration and marks.
    pub fn name(self) -> &'static str {
        match self {
            Self::NetNamespace => "net-namespace",
            Self::PidNamespace => "pid-namespace",
            Self::IpcNamespace => "ipc-namespace",
            Self::UtsNamespace => "uts-namespace",
            Self::NestedNamespaces => "nested-namespaces",
            Self::Descriptors => "descriptors",
            Self::ReadOnly => "read-only",
            Self::SafeMounts => "safe-mounts",
            Self::OldRoot => "old-root",
            Self::Overlay => "overlay",
            Self::Proc => "proc",
            Self::HiddenFirst => "hidden-first",
            Self::FirstUntraced => "first-untraced",
            Self::ResourceLimits => "resource-limits",
            Self::Capabilities => "capabilities",
            Self::Landlock => "landlock",
            Self::Filter => "filter",
        }
    }
}

impl fmt::Display for Wall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no wall has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no wall of the sandbox")]
pub struct UnknownWall {
    /// The name.
    pub name: String,
}

impl FromStr for Wall {
    type Err = UnknownWall;

    fn from_str(name: &str) -> Result<Self, UnknownWall> {
        let named = Self::ALL.into_iter().find(|wall| wall.name() == name);
        named.ok_or_else(|| UnknownWall { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_are_those_on_the_wire() {
        for wall in Wall::ALL {
            assert_eq!(wall.name().parse(), Ok(wall));
            assert_eq!(serde_json::to_string(&wall).unwrap(), format!("\"{wall}\""));
        }
        assert!("walls".parse::<Wall>().is_err());
    }
}
