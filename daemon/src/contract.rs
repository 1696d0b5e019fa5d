//! What every build sees besides its inputs: environment, paths, the `git` that answers inside.
//!
//! Pure. A change here changes what builds see: raise `kbs_plan::derivation::SANDBOX_CONTRACT`.

use std::collections::BTreeMap;

/// Where the source is.
pub(crate) const SRC: &str = "/build/src";
/// Where `git` is; first in `PATH`.
pub(crate) const TOOLS: &str = "/build/tools";

const PATH: &str = "/build/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The directory that commands run in.
pub(crate) fn work_dir(subdir: Option<&str>) -> String {
    subdir.map_or_else(|| SRC.to_owned(), |subdir| format!("{SRC}/{subdir}"))
}

/// The environment of commands; `own` may not replace what the sandbox decides.
pub(crate) fn environment(
    own: &BTreeMap<String, String>,
    work_dir: &str,
    epoch: i64,
) -> BTreeMap<String, String> {
    let decided = [
        ("PATH", PATH.to_owned()),
        ("HOME", "/build/home".to_owned()),
        ("TMPDIR", "/tmp".to_owned()),
        ("TZ", "UTC".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("SOURCE_DATE_EPOCH", epoch.to_string()),
        ("KCONFIG_CONFIG", format!("{work_dir}/.config")),
        ("KBUILD_BUILD_USER", "kbs".to_owned()),
        ("KBUILD_BUILD_HOST", "kbs".to_owned()),
        ("KBUILD_BUILD_TIMESTAMP", date(epoch)),
    ];
    let mut all = own.clone();
    all.extend(decided.map(|(name, value)| (name.to_owned(), value)));
    all
}

/// The `git` inside: answers for the pinned source and knows no history.
///
/// Both values hold only characters of version strings and hex digits, so single quotes keep them.
pub(crate) fn git_program(head: &str, version: &str, epoch: i64) -> String {
    format!(
        r#"#!/bin/sh
# Answers for the source of this build. There is no repository here and no history.
head='{head}'
version='{version}'
epoch='{epoch}'
while [ $# -gt 0 ]; do
    case $1 in
        -C|-c|--git-dir|--work-tree) shift 2 ;;
        --git-dir=*|--work-tree=*|--no-pager|-P|--no-optional-locks|--no-replace-objects) shift ;;
        *) break ;;
    esac
done
command=${{1-}}
[ $# -gt 0 ] && shift
case $command in
    --version|version) echo 'git version 2.0.0 (kbs)' ;;
    describe)
        case " $* " in *' --exact-match '*)
            case $version in *-0-g*) ;; *) exit 128 ;; esac ;;
        esac
        printf '%s\n' "$version" ;;
    rev-parse)
        for word in "$@"; do
            case $word in
                --show-toplevel) echo {SRC} ;;
                --show-cdup|--show-prefix) echo ;;
                --git-dir|--absolute-git-dir) echo {SRC}/.git ;;
                --is-inside-work-tree) echo true ;;
                --abbrev-ref) echo HEAD; exit 0 ;;
                --short) printf '%.7s\n' "$head"; exit 0 ;;
                --short=*) printf "%.${{word#--short=}}s\n" "$head"; exit 0 ;;
                HEAD|HEAD^0|'HEAD^{{commit}}'|@) printf '%s\n' "$head" ;;
                -*) ;;
                *) exit 128 ;;
            esac
        done ;;
    log|show)
        for word in "$@"; do
            case $word in
                *%ct*|*%at*) printf '%s\n' "$epoch" ;;
                *%H*) printf '%s\n' "$head" ;;
                *%h*) printf '%.7s\n' "$head" ;;
                --format=*|--pretty=*) exit 128 ;;
            esac
        done ;;
    # The tree is exactly the commit: nothing is modified.
    status|diff|diff-index|diff-files|update-index|submodule) ;;
    config) exit 1 ;;
    *) echo "git: this build has no repository; '$command' cannot be answered" >&2; exit 128 ;;
esac
"#
    )
}

/// `Fri Apr 11 17:40:00 UTC 2025`, as date(1) prints it, of seconds since 1970.
fn date(epoch: i64) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let (days, second) = (epoch.div_euclid(86_400), epoch.rem_euclid(86_400));
    let weekday = usize::try_from(days.rem_euclid(7)).expect("a remainder of 7");
    let (year, month, day) = civil(days);
    format!(
        "{} {} {day:2} {:02}:{:02}:{:02} UTC {year}",
        DAYS[weekday],
        MONTHS[month],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// `2025-04-11`, of seconds since 1970.
pub(crate) fn day(epoch: i64) -> String {
    let (year, month, day) = civil(epoch.div_euclid(86_400));
    format!("{year:04}-{:02}-{day:02}", month + 1)
}

/// Year, month from 0 and day from 1 in the proleptic Gregorian calendar, of days since 1970.
fn civil(mut days: i64) -> (i64, usize, i64) {
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let cycles = days.div_euclid(146_097);
    days = days.rem_euclid(146_097);
    let mut year = 1970 + 400 * cycles;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let february = 28 + i64::from(leap(year));
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    (year, month, days + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date() {
        for (epoch, expected) in [
            (0, "Thu Jan  1 00:00:00 UTC 1970"),
            (951_827_696, "Tue Feb 29 12:34:56 UTC 2000"),
            (1_744_393_200, "Fri Apr 11 17:40:00 UTC 2025"),
            (4_107_542_399, "Sun Feb 28 23:59:59 UTC 2100"),
            (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        ] {
            assert_eq!(date(epoch), expected);
        }
        assert_eq!([day(951_827_696), day(-1)], ["2000-02-29", "1969-12-31"]);
    }

    #[test]
    fn a_recipe_cannot_replace_what_the_sandbox_decides() {
        let own = BTreeMap::from([
            ("PATH".to_owned(), "/x".to_owned()),
            ("A".to_owned(), "1".to_owned()),
        ]);
        let all = environment(&own, "/build/src", 7);
        assert_eq!(all["PATH"], PATH);
        assert_eq!(all["A"], "1");
        assert_eq!(all["SOURCE_DATE_EPOCH"], "7");
    }

    // What builds see: whoever changes it raises SANDBOX_CONTRACT, and then this.
    #[test]
    fn the_contract_is_the_one_that_keys_name() {
        let seen = format!(
            "{}{:?}",
            git_program("HEAD", "VERSION", 7),
            environment(&BTreeMap::new(), "/build/src", 7)
        );
        assert_eq!(kbs_plan::derivation::SANDBOX_CONTRACT, 2);
        insta::assert_snapshot!(kbs_plan::id::BlobId::of(seen.as_bytes()), @"blob:24097e3138e50215016db8f79bc99e0b3a3c4c9da9a0aedc25d59b9cdda136b9");
    }

    fn git(args: &[&str]) -> (i32, String) {
        let script =
            git_program("61c0c8d2ef40340781835dd53fb04cc7a454e37a", "v0.13.0-0-g61c0c8d2e", 7);
        let output = std::process::Command::new("sh")
            .arg("-c")
            .arg(script)
            .arg("git")
            .args(args)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn git_answers_for_the_pinned_source_and_nothing_else() {
        assert_eq!(git(&["describe", "--always", "--tags"]), (0, "v0.13.0-0-g61c0c8d2e\n".into()));
        assert_eq!(git(&["-C", "/x", "rev-parse", "--short=9", "HEAD"]), (0, "61c0c8d2e\n".into()));
        assert_eq!(git(&["log", "-1", "--format=%ct"]), (0, "7\n".into()));
        assert_eq!(git(&["diff-index", "--quiet", "HEAD"]), (0, String::new()));
        assert_eq!(git(&["rev-parse", "--verify", "origin/master"]).0, 128);
        for unknown in [&["fetch"][..], &["ls-files"], &["log", "--format=%cd"]] {
            assert_eq!(git(unknown), (128, String::new()), "{unknown:?}");
        }
        assert_eq!(git(&["config", "user.name"]).0, 1);
        assert_eq!(git(&["describe", "--exact-match"]).0, 0);
    }
}
