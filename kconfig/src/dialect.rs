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
    /// How old the project's copy of `conf` is. Means nothing to kconfiglib.
    pub vintage: Vintage,
    /// How a `.config` has strings.
    pub strings: Strings,
}

/// How a `.config` has strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strings {
    /// With a `\` before `"` and `\`.
    Escaped,
    /// As they are, between quotes, as U-Boot's copy of `conf` does.
    Plain,
}

/// How old a copy of `conf` is: projects keep the one that they once took from Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Vintage {
    /// Before 2.6.20, as in busybox: every symbol is written, a number without a value as 0.
    V2,
    /// Before 4.17, as in `SeaBIOS`: a default that says `n` is written all the same.
    V3,
    /// From 4.17 on, as in U-Boot: what is implied to be `y` cannot be a module.
    V4,
    /// From 5.7 on, as in Linux 6.1: ends of menus are told.
    V6,
}

/// What `autoconf.h` says about symbols that are off or not in the `.config`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderOff {
    /// Nothing.
    Left,
    /// `#define CONFIG_X 0`, as Klipper's copy of kconfiglib and `SeaBIOS`'s copy of `conf` do.
    Zero,
}

impl Dialect {
    /// Linux's `conf`, as of 6.1.
    pub const CONF: Self = Self {
        tool: Tool::Conf,
        header_off: HeaderOff::Left,
        vintage: Vintage::V6,
        strings: Strings::Escaped,
    };
    /// The copy of `conf` in U-Boot.
    pub const U_BOOT: Self = Self { vintage: Vintage::V4, strings: Strings::Plain, ..Self::CONF };
    /// The copy of `conf` in `SeaBIOS`.
    pub const SEABIOS: Self =
        Self { header_off: HeaderOff::Zero, vintage: Vintage::V3, ..Self::CONF };
    /// The copy of `conf` in busybox. Only its `.config` is known, without the first lines.
    pub const BUSYBOX: Self = Self { vintage: Vintage::V2, ..Self::CONF };
    /// kconfiglib 14.1.
    pub const KCONFIGLIB: Self = Self { tool: Tool::Kconfiglib, ..Self::CONF };
    /// The copy of kconfiglib in Klipper, Kalico and Katapult.
    pub const KLIPPER: Self = Self { header_off: HeaderOff::Zero, ..Self::KCONFIGLIB };
}
