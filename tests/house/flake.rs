//! The Nix package, module and unit, as far as they can be checked without fetching anything.

use std::process::Command;

use crate::root;

/// Evaluates `flake.nix` of this directory; `None` where there is no Nix, which is said.
fn evaluate() -> Option<serde_json::Value> {
    let mut nix = Command::new("nix-instantiate");
    nix.args(["--eval", "--strict", "--json", "--store", "dummy://"])
        .arg(root().join("tests/house/flake.nix"))
        .env("NIX_CONF_DIR", "/nonexistent")
        .env("HOME", "/nonexistent");
    let Ok(output) = nix.output() else {
        crate::skip("nix-instantiate is not installed: flake.nix was not evaluated");
        return None;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).expect("nix prints JSON"))
}

#[test]
fn the_flake_gives_a_package_a_shell_checks_and_a_service() {
    let Some(flake) = evaluate() else { return };
    assert_eq!(flake["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(flake["lock"], true);
    assert_eq!(flake["checks"], serde_json::json!(["kbs", "pure"]));
    assert_eq!(flake["options"], serde_json::json!(["enable", "package"]));
    assert!(flake["shell"].as_array().is_some_and(|shell| !shell.is_empty()));
    let unit = flake["unit"].as_str().expect("the unit is text");
    assert!(unit.contains("ExecStart=/nix/store/kbs/bin/kbs "), "{unit}");
    assert!(!unit.contains("/usr/bin/kbs"), "{unit}");
}

#[test]
fn the_packages_that_nix_builds_are_there() {
    let Some(flake) = evaluate() else { return };
    for list in ["cargoBuildFlags", "pure"] {
        for flag in flake[list].as_array().expect("flags are a list") {
            let package = flag.as_str().and_then(|flag| flag.strip_prefix("--package=kbs-"));
            let room = package.unwrap_or_else(|| panic!("{flag} names no room"));
            assert!(root().join(room).join("Cargo.toml").is_file(), "{flag}: no such room");
        }
    }
}

#[test]
fn the_unit_leaves_the_sandbox_what_it_needs() {
    let unit = crate::read("dist/kbsd.service");
    let settings: Vec<&str> = unit.lines().filter(|line| !line.starts_with('#')).collect();
    let value = |name: &str| settings.iter().find_map(|line| line.strip_prefix(name));
    assert_eq!(value("Delegate="), Some("yes"));
    for forbidden in ["RestrictNamespaces", "ProtectProc", "ProtectKernelTunables", "PrivateUsers"]
    {
        assert_eq!(value(&format!("{forbidden}=")), None, "{forbidden} breaks every sandbox");
    }
}
