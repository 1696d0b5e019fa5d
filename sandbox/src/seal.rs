//! Giving up privileges: capabilities and Landlock.

use std::io;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreatedAttr, Scope,
};
use rustix::{
    fs::{Mode, OFlags, open},
    io::Errno,
    thread::{
        CapabilitiesSecureBits, CapabilitySet, CapabilitySets, clear_ambient_capability_set,
        remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits,
        set_no_new_privs,
    },
};

use crate::{
    ops::{DEVICES, WRITABLE},
    sys,
};

/// The oldest Landlock with which builds work: before it, no file could be renamed into another
/// directory.
pub(crate) const MIN_LANDLOCK: u32 = 2;

/// Empties every capability set, so that not even a setuid-root program would get one back.
pub(crate) fn drop_capabilities() -> Result<(), Errno> {
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    set_capabilities_secure_bits(locked)?;
    clear_ambient_capability_set()?;
    for number in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << number)) {
            // The first number that this kernel does not have.
            Err(Errno::INVAL) => break,
            other => other?,
        }
    }
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })?;
    set_no_new_privs(true)
}

/// The rights that this kernel can take away: those of the newest version that both it and we know.
fn known_abi() -> Result<ABI, Errno> {
    match sys::landlock::abi()? {
        0..MIN_LANDLOCK => Err(Errno::OPNOTSUPP),
        2 => Ok(ABI::V2),
        3 => Ok(ABI::V3),
        4 => Ok(ABI::V4),
        5 => Ok(ABI::V5),
        _ => Ok(ABI::V6),
    }
}

/// Restricts this process, already in its new root, to writing where builds write.
pub(crate) fn apply_landlock() -> Result<(), Errno> {
    let abi = known_abi()?;
    let all = AccessFs::from_all(abi);
    let never = AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    let device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;

    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(all)
        .map_err(|e| errno(&e))?;
    if abi >= ABI::V4 {
        rules = rules.handle_access(AccessNet::from_all(abi)).map_err(|e| errno(&e))?;
    }
    if abi >= ABI::V6 {
        rules = rules.scope(Scope::from_all(abi)).map_err(|e| errno(&e))?;
    }
    let mut rules = rules.create().map_err(|e| errno(&e))?;
    let mut allow = |path: &str, access: BitFlags<AccessFs>| -> Result<(), Errno> {
        let at = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        (&mut rules).add_rule(PathBeneath::new(at, access)).map_err(|e| errno(&e))?;
        Ok(())
    };
    allow("/", AccessFs::from_read(abi))?;
    for path in WRITABLE {
        allow(path, all & !never)?;
    }
    for name in DEVICES {
        allow(&format!("/dev/{name}"), device)?;
    }
    rules.restrict_self().map_err(|e| errno(&e))?;
    Ok(())
}

/// The `errno` at the bottom of an error; `EOPNOTSUPP` when the library refused by itself.
fn errno(error: &(dyn std::error::Error + 'static)) -> Errno {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(errno) = error.downcast_ref::<io::Error>().and_then(Errno::from_io_error) {
            return errno;
        }
        cause = error.source();
    }
    Errno::OPNOTSUPP
}
