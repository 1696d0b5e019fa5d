# Evaluates the flake's own attributes with stand-ins for everything it takes from nixpkgs, and the
# NixOS module with stand-ins for its options. Throws where an attribute is missing.
let
  root = ../..;
  lib = {
    genAttrs =
      names: make:
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = make name;
        }) names
      );
    importTOML = path: builtins.fromTOML (builtins.readFile path);
    cleanSource = path: path;
    makeBinPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);
    licenses = {
      mit = "MIT";
      asl20 = "Apache-2.0";
    };
    platforms.linux = [ "x86_64-linux" ];
    mkEnableOption = text: { default = false; };
    mkOption = option: option;
    mkIf = condition: content: if condition then content else { };
    literalMD = text: text;
    types.package = "package";
  };
  derivationOf = attributes: attributes // {
    outPath = "/nix/store/${attributes.pname or attributes.name or "shell"}";
    overrideAttrs = changes: derivationOf (attributes // changes);
  };
  tool = name: derivationOf { inherit name; };
  pkgs = {
    callPackage = path: more: import path (builtins.intersectAttrs (builtins.functionArgs (import path)) (pkgs // { inherit lib; }) // more);
    rustPlatform.buildRustPackage = derivationOf;
    mkShell = derivationOf;
    writeTextDir = path: text: { inherit path text; };
  }
  // lib.genAttrs [ "installShellFiles" "makeWrapper" "git" "bison" "cargo-deny" "cargo-nextest" "clippy" "flex" "python3" "rustfmt" "strace" ] tool;
  nixpkgs = {
    inherit lib;
    legacyPackages = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: pkgs);
  };

  flake = import (root + "/flake.nix");
  outputs = flake.outputs {
    self = outputs;
    inherit nixpkgs;
  };
  package = outputs.packages.x86_64-linux.default;
  module = outputs.nixosModules.kbsd {
    inherit lib pkgs;
    config.services.kbsd = {
      enable = true;
      inherit package;
    };
  };
in
{
  inherit (package) version cargoBuildFlags;
  lock = builtins.pathExists package.cargoLock.lockFile;
  install = package.postInstall;
  shell = map (package: package.outPath) outputs.devShells.aarch64-linux.default.packages;
  checks = builtins.attrNames outputs.checks.x86_64-linux;
  pure = outputs.checks.x86_64-linux.pure.cargoTestFlags;
  options = builtins.attrNames module.options.services.kbsd;
  unit = (builtins.head module.config.systemd.packages).text;
  path = map toString module.config.systemd.services.kbsd.path;
}
