# One kbsd for everybody on the machine who is in the group `kbs`.
packageOf:
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.kbsd;
in
{
  options.services.kbsd = {
    enable = lib.mkEnableOption "the kbs build daemon";
    package = lib.mkOption {
      type = lib.types.package;
      default = packageOf pkgs;
      defaultText = lib.literalMD "the package of this flake";
      description = "The package that has `kbs`.";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];
    users.groups.kbs = { };
    users.users.kbs = {
      isSystemUser = true;
      group = "kbs";
    };

    systemd.packages = [
      (pkgs.writeTextDir "lib/systemd/system/kbsd.service" (
        builtins.replaceStrings [ "/usr/bin/kbs" ] [ "${cfg.package}/bin/kbs" ] (
          builtins.readFile ./kbsd.service
        )
      ))
    ];
    systemd.services.kbsd = {
      wantedBy = [ "multi-user.target" ];
      path = [ pkgs.git ];
    };
  };
}
