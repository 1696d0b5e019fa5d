//! Reads in the table of mounts where on the host the jail's directories lie.

use crate::{attempt::attempt, kit::as_each_user};

const SCRIPT: &str = r"
table = ''.join(open(f'/proc/self/{name}').read() for name in ('mountinfo', 'mounts', 'mountstats'))
for line in table.splitlines():
    if os.environ['DIR'] in line:
        escaped(line)
held('no path of the host')
";

/// As scratch on disk is a directory of the host, its mounts name it; scratch in memory, the image,
/// the source and inputs do not.
#[test]
fn the_table_of_mounts_names_no_directory_of_the_host() {
    as_each_user(|kit| {
        let input = kit.make_dir("input");
        let dir = kit.dir.path().file_name().unwrap().to_str().unwrap();
        let attempt = attempt(kit, SCRIPT).input(&input, "/build/in").env("DIR", dir);
        attempt.held_by(&[kbs_sandbox::Wall::ReadOnly]);
    });
}

/// So many directories that their names must be shorter than they are otherwise.
#[test]
fn the_table_of_mounts_names_no_directory_of_a_source_of_many() {
    as_each_user(|kit| {
        let layers: Vec<_> = (0..kbs_sandbox::SOURCE_LAYERS_MAX)
            .map(|number| kit.make_dir(&format!("layer-{number}")))
            .collect();
        let dir = kit.dir.path().file_name().unwrap().to_str().unwrap();
        let attempt = attempt(kit, SCRIPT).jail(|spec| spec.source = layers).env("DIR", dir);
        attempt.held();
    });
}
