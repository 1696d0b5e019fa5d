{
  description = "A content-addressed build daemon for firmware and kernels";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
      packageOf = pkgs: pkgs.callPackage ./dist/package.nix { };
    in
    {
      packages = eachSystem (pkgs: rec {
        kbs = packageOf pkgs;
        default = kbs;
      });

      devShells = eachSystem (pkgs: {
        default = pkgs.mkShell {
          inputsFrom = [ (packageOf pkgs) ];
          packages = [
            pkgs.bison
            pkgs.cargo-deny
            pkgs.cargo-nextest
            pkgs.clippy
            pkgs.flex
            pkgs.python3
            pkgs.rustfmt
            pkgs.strace
          ];
        };
      });

      # What needs no sandbox of its own inside the one of Nix.
      checks = eachSystem (pkgs: {
        kbs = packageOf pkgs;
        pure = (packageOf pkgs).overrideAttrs {
          pname = "kbs-pure-tests";
          doCheck = true;
          cargoTestFlags = [
            "--package=kbs-plan"
            "--package=kbs-kconfig"
            "--package=kbs-proto"
          ];
        };
      });

      nixosModules = rec {
        kbsd = import ./dist/module.nix packageOf;
        default = kbsd;
      };
    };
}
