{
  lib,
  rustPlatform,
  installShellFiles,
  makeWrapper,
  git,
}:

rustPlatform.buildRustPackage {
  pname = "kbs";
  version = (lib.importTOML ../Cargo.toml).workspace.package.version;

  src = lib.cleanSource ../.;
  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [
    "--package=kbs-cli"
    "--package=kbs-daemon"
  ];

  # The tests start sandboxes, which the one of Nix does not allow.
  doCheck = false;

  nativeBuildInputs = [
    installShellFiles
    makeWrapper
  ];
  postInstall = ''
    $out/bin/kbs man --dir man
    installManPage man/*.1
    installShellCompletion --cmd kbs \
      --bash <($out/bin/kbs completion bash) \
      --fish <($out/bin/kbs completion fish) \
      --zsh <($out/bin/kbs completion zsh)
    wrapProgram $out/bin/kbs --suffix PATH : ${lib.makeBinPath [ git ]}
  '';

  meta = {
    description = "A content-addressed build daemon for firmware and kernels";
    license = with lib.licenses; [
      mit
      asl20
    ];
    platforms = lib.platforms.linux;
    mainProgram = "kbs";
  };
}
