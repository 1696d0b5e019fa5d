//! Which environment variables a recipe or a spec may set.

/// Names that decide what the sandbox promises, or that make the loader run something else.
const ENV_OWNED: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "PWD",
    "OLDPWD",
    "SHELL",
    "IFS",
    "ENV",
    "BASH_ENV",
    "TZ",
    "LC_ALL",
    "LANG",
    "SOURCE_DATE_EPOCH",
    "MAKEFLAGS",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "KCONFIG_CONFIG",
    "USER",
    "LOGNAME",
    "HOSTNAME",
    "KBUILD_BUILD_USER",
    "KBUILD_BUILD_HOST",
    "KBUILD_BUILD_TIMESTAMP",
];

/// Why an environment variable cannot be set, `None` where it can.
pub(crate) fn env_refused(name: &str, value: &str) -> Option<&'static str> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() || !name.bytes().all(word) {
        return Some("cannot be the name of an environment variable");
    }
    if value.contains('\0') {
        return Some("contains a NUL byte");
    }
    let owned = ENV_OWNED.contains(&name) || name.starts_with("LD_");
    owned.then_some("is decided by the sandbox and cannot be set")
}
