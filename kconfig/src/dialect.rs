//! The tools that projects use, where they differ.

/// Which tool a project configures itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tool {
    /// Linux's own `conf`, and what descends from it (U-Boot, Buildroot).
    Conf,
    /// kconfiglib, as in Klipper and Zephyr.
    Kconfiglib,
}

/// How a project's tool reads, decides and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// The tool.
    pub tool: Tool,
    /// What `autoconf.h` says about symbols that are off.
    pub header_off: HeaderOff,
}

/// What `autoconf.h` says about symbols that are off or not in the `.config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderOff {
    /// Nothing.
    Left,
    /// `#define CONFIG_X 0`, as Klipper's copy of kconfiglib does.
    Zero,
}

impl Dialect {
    /// Linux's `conf`, as of 6.1.
    pub const CONF: Self = Self { tool: Tool::Conf, header_off: HeaderOff::Left };
    /// kconfiglib 14.1.
    pub const KCONFIGLIB: Self = Self { tool: Tool::Kconfiglib, header_off: HeaderOff::Left };
    /// The copy of kconfiglib in Klipper, Kalico and Katapult.
    pub const KLIPPER: Self = Self { tool: Tool::Kconfiglib, header_off: HeaderOff::Zero };
}
