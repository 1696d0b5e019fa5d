//! A process of the host, of the jail's own user.

use std::{
    os::unix::process::CommandExt,
    process::{Child, Command},
};

use crate::kit::Kit;

pub(crate) struct Victim(Child);

impl Victim {
    pub(crate) fn start(kit: &Kit) -> Self {
        let mut command = Command::new("/bin/sleep");
        command.arg("600").env("SECRET", "secret");
        if kit.uid() != 0 {
            command.uid(kit.uid()).gid(kit.uid());
        }
        Self(command.spawn().unwrap())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Whether it still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
