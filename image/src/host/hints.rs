//! Which Debian package brings a program.

/// Programs whose package has another name, with what else they are useless without.
const PACKAGES: [(&str, &str); 16] = [
    ("arm-none-eabi-gcc", "gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ("arm-none-eabi-g++", "gcc-arm-none-eabi libstdc++-arm-none-eabi-newlib"),
    ("avr-gcc", "gcc-avr avr-libc"),
    ("avr-objcopy", "binutils-avr"),
    ("gcc", "gcc libc6-dev"),
    ("cc", "gcc libc6-dev"),
    ("cpp", "cpp"),
    ("c++", "g++"),
    ("ld", "binutils"),
    ("as", "binutils"),
    ("objcopy", "binutils"),
    ("ld.lld", "lld"),
    ("dtc", "device-tree-compiler"),
    ("iasl", "acpica-tools"),
    ("mkimage", "u-boot-tools"),
    ("swig", "swig"),
];
/// Programs whose package has their name.
const SAME: [&str; 16] = [
    "make", "python3", "g++", "clang", "git", "bison", "flex", "bc", "cpio", "openssl", "perl",
    "rsync", "kmod", "cmake", "bash", "gawk",
];

/// The packages to install for `program`, parted by blanks; `None` where that is not known.
pub(super) fn debian_package(program: &str) -> Option<String> {
    let (_, name) = program.rsplit_once('/').unwrap_or(("", program));
    if let Some((_, packages)) = PACKAGES.iter().find(|(known, _)| *known == name) {
        return Some((*packages).to_owned());
    }
    if SAME.contains(&name) {
        return Some(name.to_owned());
    }
    // Cross compilers for Linux: `aarch64-linux-gnu-gcc` is in `gcc-aarch64-linux-gnu`.
    let (triplet, tool) = name.rsplit_once('-')?;
    let triplet = triplet.contains("-linux-gnu").then(|| triplet.replace('_', "-"))?;
    match tool {
        "gcc" | "g++" | "cpp" => Some(format!("{tool}-{triplet}")),
        "ld" | "as" | "objcopy" | "objdump" | "strip" => Some(format!("binutils-{triplet}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_package_of_a_compiler() {
        let of = |program| debian_package(program).unwrap_or_default();
        assert_eq!(of("avr-gcc"), "gcc-avr avr-libc");
        assert_eq!(of("/usr/bin/make"), "make");
        assert_eq!(of("x86_64-linux-gnu-gcc"), "gcc-x86-64-linux-gnu");
        assert_eq!(of("no-such-thing"), "");
    }
}
