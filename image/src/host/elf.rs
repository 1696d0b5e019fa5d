//! Reads from an ELF file what it needs to start: its interpreter and its libraries.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
/// More than any linker makes; a file that asks for more is not read on.
const SEGMENTS_MAX: u16 = 512;
const DYNAMIC_MAX_B: u64 = 1 << 20;
const TEXT_MAX_B: usize = 4096;

/// What a program or library needs to start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// The dynamic loader, absolute.
    pub(crate) interpreter: Option<String>,
    /// Names of libraries.
    pub(crate) libraries: Vec<String>,
    /// Where to look for them first; may hold `$ORIGIN`.
    pub(crate) search: Vec<String>,
    /// The machine: libraries must be for the same.
    pub(crate) machine: Machine,
}

/// The kind of code in a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    wide: bool,
    little: bool,
    code: u16,
}

/// The machine that the file is for, in OCI's words; `None` where it is no ELF file.
pub(crate) fn architecture(path: &Path) -> Option<&'static str> {
    let image = File::open(path).and_then(Image::open).ok()??;
    let Machine { wide, little, code } = image.machine;
    Some(match (code, wide, little) {
        (3, ..) => "386",
        (62, ..) => "amd64",
        (40, ..) => "arm",
        (183, ..) => "arm64",
        (243, true, _) => "riscv64",
        (21, _, true) => "ppc64le",
        (21, _, false) => "ppc64",
        (22, ..) => "s390x",
        (258, ..) => "loong64",
        (8, true, true) => "mips64le",
        (8, true, false) => "mips64",
        (8, false, true) => "mipsle",
        (8, false, false) => "mips",
        _ => return None,
    })
}

/// Directories of Debian's libraries for this machine.
pub(crate) fn multiarch_dir(machine: Machine) -> Option<&'static str> {
    Some(match (machine.code, machine.wide) {
        (3, _) => "i386-linux-gnu",
        (62, true) => "x86_64-linux-gnu",
        (40, _) => "arm-linux-gnueabihf",
        (183, _) => "aarch64-linux-gnu",
        (243, _) => "riscv64-linux-gnu",
        (21, _) => "powerpc64le-linux-gnu",
        (22, _) => "s390x-linux-gnu",
        (258, _) => "loongarch64-linux-gnu",
        _ => return None,
    })
}

/// Reads what `path` needs; `None` where it is no ELF file.
///
/// # Errors
/// Any that reading gives; `InvalidData` where the file contradicts itself.
pub(crate) fn needs(path: &Path) -> io::Result<Option<Needs>> {
    let Some(image) = Image::open(File::open(path)?)? else { return Ok(None) };
    let segments = image.segments()?;
    let mut needs = Needs { machine: image.machine, ..Needs::default() };
    if let Some(interpreter) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
        needs.interpreter = Some(image.text(interpreter.offset)?);
    }
    if let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) {
        let entries = image.dynamic(dynamic)?;
        let table = entries.iter().find(|(tag, _)| *tag == DT_STRTAB);
        let table = table.and_then(|(_, address)| offset_of(&segments, *address));
        let table = table.ok_or_else(damaged)?;
        for (tag, value) in entries {
            let text = || image.text(table.checked_add(value).ok_or_else(damaged)?);
            match tag {
                DT_NEEDED => needs.libraries.push(text()?),
                DT_RPATH | DT_RUNPATH => {
                    needs.search.extend(text()?.split(':').map(str::to_owned));
                }
                _ => {}
            }
        }
    }
    Ok(Some(needs))
}

struct Image {
    file: File,
    machine: Machine,
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_b: u64,
}

impl Image {
    fn open(file: File) -> io::Result<Option<Self>> {
        let mut head = [0; 20];
        match file.read_exact_at(&mut head, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if !head.starts_with(b"\x7fELF") {
            return Ok(None);
        }
        let mut machine = Machine { wide: head[4] == 2, little: head[5] == 1, code: 0 };
        machine.code =
            u16::try_from(number(&head[18..20], machine.little)).map_err(|_| damaged())?;
        Ok(Some(Self { file, machine }))
    }

    fn segments(&self) -> io::Result<Vec<Segment>> {
        let (table_at, size_at, count_at) =
            if self.machine.wide { (32, 54, 56) } else { (28, 42, 44) };
        let table = self.word(table_at)?;
        let size = self.read(size_at, 2)?;
        let count = u16::try_from(self.read(count_at, 2)?).map_err(|_| damaged())?;
        if count > SEGMENTS_MAX {
            return Err(damaged());
        }
        let segment = |index: u16| {
            let at = u64::from(index) * size;
            let at = table.checked_add(at).ok_or_else(damaged)?;
            let field = |wide, narrow| {
                let within = if self.machine.wide { wide } else { narrow };
                self.word(at.checked_add(within).ok_or_else(damaged)?)
            };
            Ok(Segment {
                kind: u32::try_from(self.read(at, 4)?).map_err(|_| damaged())?,
                offset: field(8, 4)?,
                address: field(16, 8)?,
                file_b: field(32, 16)?,
            })
        };
        (0..count).map(segment).collect()
    }

    fn dynamic(&self, segment: &Segment) -> io::Result<Vec<(u64, u64)>> {
        let word_b = if self.machine.wide { 8 } else { 4 };
        let mut entries = Vec::new();
        for index in 0..segment.file_b.min(DYNAMIC_MAX_B) / (2 * word_b) {
            let at = segment.offset.checked_add(index * 2 * word_b).ok_or_else(damaged)?;
            let tag = self.word(at)?;
            if tag == 0 {
                break;
            }
            entries.push((tag, self.word(at.saturating_add(word_b))?));
        }
        Ok(entries)
    }

    fn word(&self, at: u64) -> io::Result<u64> {
        self.read(at, if self.machine.wide { 8 } else { 4 })
    }

    fn read(&self, at: u64, size: usize) -> io::Result<u64> {
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..size];
        self.file.read_exact_at(bytes, at).map_err(|_| damaged())?;
        Ok(number(bytes, self.machine.little))
    }

    /// The text at `offset`, up to its NUL.
    fn text(&self, offset: u64) -> io::Result<String> {
        let mut bytes = vec![0; TEXT_MAX_B];
        let count = self.file.read_at(&mut bytes, offset)?;
        let end = bytes[..count].iter().position(|&byte| byte == 0).ok_or_else(damaged)?;
        bytes.truncate(end);
        String::from_utf8(bytes).map_err(|_| damaged())
    }
}

fn number(bytes: &[u8], little: bool) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
}

fn offset_of(segments: &[Segment], address: u64) -> Option<u64> {
    segments.iter().filter(|segment| segment.kind == PT_LOAD).find_map(|segment| {
        let within = address.checked_sub(segment.address)?;
        (within < segment.file_b).then(|| segment.offset.checked_add(within))?
    })
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the ELF file is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_running_program() {
        let found = needs(&std::env::current_exe().unwrap()).unwrap().unwrap();
        assert!(found.libraries.iter().any(|name| name.starts_with("libc.")), "{found:?}");
        assert_eq!(
            architecture(&std::env::current_exe().unwrap()),
            Some(crate::manifest::host_architecture())
        );
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let whole = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let mut cut = whole[..4096].to_vec();
        cut[32..40].fill(0xff);
        std::fs::write(&path, &cut).unwrap();
        assert_eq!(needs(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, &whole[..12]).unwrap();
        assert!(needs(&path).unwrap().is_none());
    }
}
