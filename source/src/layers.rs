//! Parting a selection into layers, of which two commits share those that did not change.
//!
//! A layer is a directory without what further layers have of it. Where the borders run follows
//! from the paths alone, so what files hold changes the layer they are in, and no other.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use kbs_plan::id::{Id, Kind};

use crate::select::{self, Item, Selection};

/// The most layers that a selection is parted into.
pub const LAYERS_MAX: usize = 48;

/// Where the borders run. Moving them costs every selection its layers, once.
const RULE: Rule = Rule { most: LAYERS_MAX, whole: 255, top: 64, large: 512, below: 64 };

/// The items of one layer, by content.
#[derive(Debug)]
pub enum LayerKind {}

impl Kind for LayerKind {
    const PREFIX: &'static str = "layer";
    const CONTEXT: &'static str = "kbs 2026-11 layer v1";
}

/// Names one [`Layer`]: equal ids promise equal files at equal paths, whatever selection they came
/// from.
pub type LayerId = Id<LayerKind>;

/// A part of a [`Selection`], with the same root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer<'a> {
    /// A hash over every item.
    pub id: LayerId,
    /// The items, by path in byte order; at least one.
    pub items: Vec<&'a Item>,
}

impl Selection {
    /// Parts it into layers: every item is in exactly one. The order is by directory.
    ///
    /// A selection of less than 256 items is one layer. Of any other, each directory at the top
    /// with at least 64 items is a layer (of too many, the largest are), and all else is one. Then
    /// the largest layer of more than 512 items loses its largest subdirectory of at least 64,
    /// which becomes a layer, over and over, until there is none or there are [`LAYERS_MAX`].
    pub fn layers(&self) -> Vec<Layer<'_>> {
        let parts = part(&self.items, &RULE).into_iter();
        let layer = |items: Vec<_>| Layer { id: select::id(items.iter().copied()), items };
        parts.map(|Part { items, at: _, is_final: _ }| layer(items)).collect()
    }
}

/// Numbers of items, but for `most`.
struct Rule {
    /// The most layers there may be.
    most: usize,
    /// What is not parted at all.
    whole: usize,
    /// The least that makes a directory at the top a layer.
    top: usize,
    /// What is not parted further.
    large: usize,
    /// The least that makes any other directory a layer.
    below: usize,
}

/// A layer that may still be parted.
struct Part<'a> {
    /// Its directory; empty at the top.
    at: &'a str,
    items: Vec<&'a Item>,
    /// Whether it has no directory that could be split off.
    is_final: bool,
}

fn part<'a>(items: &'a [Item], rule: &Rule) -> Vec<Part<'a>> {
    let Rule { most, whole, top, large, below } = *rule;
    let mut parts = vec![Part { at: "", items: items.iter().collect(), is_final: false }];
    // All at once, so that a large project has its small directories at the top apart as well.
    if items.len() > whole {
        let split = parts[0].split(most - 1, top);
        parts.extend(split);
    }
    while parts.len() < most {
        let can = parts.iter_mut().filter(|part| part.items.len() > large && !part.is_final);
        let Some(largest) = can.max_by_key(|part| (part.items.len(), Reverse(part.at))) else {
            break;
        };
        let split = largest.split(1, below);
        largest.is_final = split.is_empty();
        parts.extend(split);
        // A directory that holds one other and nothing else.
        parts.retain(|part| !part.items.is_empty());
    }
    parts.retain(|part| !part.items.is_empty());
    parts.sort_by_key(|part| part.at);
    parts
}

impl Part<'_> {
    /// Splits off the largest subdirectories of at least `least` items, at most `most` of them.
    fn split(&mut self, most: usize, least: usize) -> Vec<Self> {
        let at = self.at;
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        for dir in self.items.iter().filter_map(|item| directory_below(at, item)) {
            *sizes.entry(dir).or_default() += 1;
        }
        let mut large: Vec<_> = sizes.into_iter().filter(|(_, size)| *size >= least).collect();
        large.sort_by_key(|(dir, size)| (Reverse(*size), *dir));
        large.truncate(most);
        let mut split: BTreeMap<_, _> = large.iter().map(|(dir, _)| (*dir, Vec::new())).collect();
        self.items.retain(|item| {
            match directory_below(at, item).and_then(|dir| split.get_mut(dir)) {
                Some(items) => {
                    items.push(*item);
                    false
                }
                None => true,
            }
        });
        split.into_iter().map(|(at, items)| Self { at, items, is_final: false }).collect()
    }
}

/// The directory directly below `at` that an item is in, if it is in one.
fn directory_below<'a>(at: &str, item: &'a Item) -> Option<&'a str> {
    let path = item.path.as_str();
    let start = if at.is_empty() { 0 } else { at.len() + 1 };
    let end = path[start..].find('/')?;
    Some(&path[..start + end])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kbs_plan::path::RelPath;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::oid::BlobOid;
    use crate::select::{ItemKind, SelectionId};

    fn item(path: &str, content: u8) -> Item {
        let oid = BlobOid::from_bytes([content; 20]);
        let kind = ItemKind::File { oid, executable: false };
        Item { path: RelPath::new(path).unwrap(), kind }
    }

    fn selection(mut items: Vec<Item>) -> Selection {
        items.sort_by(|a, b| a.path.cmp(&b.path));
        let id: SelectionId = select::id(&items);
        Selection { id, items, submodules: Vec::new() }
    }

    /// Directories, and how many files lie directly in each; `.` is the top.
    fn project(directories: &[(&str, usize)]) -> Selection {
        let paths = directories.iter().flat_map(|&(dir, files)| {
            let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
            (0..files).map(move |number| format!("{prefix}{number}"))
        });
        selection(paths.map(|path| item(&path, 0)).collect())
    }

    /// What each layer is the layer of, and its number of items.
    fn borders(selection: &Selection) -> Vec<(&str, usize)> {
        part(&selection.items, &RULE).iter().map(|part| (part.at, part.items.len())).collect()
    }

    #[test]
    fn a_small_project_is_one_layer() {
        assert_eq!(borders(&project(&[(".", 5), ("src", 100), ("lib/a", 150)])), [("", 255)]);
        assert_eq!(project(&[]).layers(), []);
    }

    #[test]
    fn directories_at_the_top_are_layers_unless_they_are_small() {
        let project = project(&[(".", 5), ("src", 100), ("src/stm32", 50), ("lib", 64), ("x", 63)]);
        assert_eq!(borders(&project), [("", 68), ("lib", 64), ("src", 150)]);
    }

    #[test]
    fn a_large_directory_loses_its_largest_ones_until_it_is_not_large() {
        let project = project(&[
            ("lib", 250),
            ("lib/a", 300),
            ("lib/a/deep", 200),
            ("lib/b", 450),
            ("lib/c", 240),
            ("lib-x", 300),
        ]);
        let expected = [("lib", 490), ("lib-x", 300), ("lib/a", 500), ("lib/b", 450)];
        assert_eq!(borders(&project), expected);
    }

    #[test]
    fn a_file_more_changes_the_layer_it_is_in() {
        let before = [(".", 20), ("src", 300), ("lib", 700), ("lib/a", 900), ("lib/b", 900)];
        let after = before.map(|(dir, files)| (dir, files + usize::from(dir == "lib/a")));
        let (before, after) = (project(&before), project(&after));
        let ids = |project: &Selection| -> BTreeSet<LayerId> {
            project.layers().iter().map(|layer| layer.id).collect()
        };
        assert_eq!(borders(&before).len(), 5);
        assert_eq!(ids(&before).intersection(&ids(&after)).count(), 4);
    }

    #[test]
    fn a_directory_that_is_all_of_another_takes_its_place() {
        let project = project(&[("lib/vendor/a", 3000), ("lib/vendor/b", 100), ("src", 70)]);
        assert_eq!(borders(&project), [("lib/vendor", 100), ("lib/vendor/a", 3000), ("src", 70)]);
    }

    #[test]
    fn many_files_in_one_directory_stay_together() {
        let project = project(&[("docs", 5000), ("docs/small", 63)]);
        assert_eq!(borders(&project), [("docs", 5063)]);
    }

    #[test]
    fn there_are_never_too_many_layers() {
        let names: Vec<String> = (0..100).map(|number| format!("{number:02}")).collect();
        let sizes = names.iter().enumerate().map(|(number, name)| (name.as_str(), 64 + number));
        let wide = project(&sizes.collect::<Vec<_>>());
        let found = borders(&wide);
        assert_eq!(found.len(), LAYERS_MAX);
        // The larger ones are layers of their own.
        assert_eq!(found[1].0, "53");
        let deep: Vec<_> = names.iter().map(|name| (format!("all/{name}"), 300)).collect();
        let deep = project(&deep.iter().map(|(dir, n)| (dir.as_str(), *n)).collect::<Vec<_>>());
        assert_eq!(borders(&deep).len(), LAYERS_MAX);
    }

    // Changing this costs every store its layers.
    #[test]
    fn the_bytes_of_an_id_never_move() {
        let link = ItemKind::Symlink { target: "a".to_owned() };
        let link = Item { path: RelPath::new("link").unwrap(), kind: link };
        let layers = selection(vec![item("a", 1), item("d/b", 2), link]);
        insta::assert_snapshot!(layers.layers()[0].id, @"layer:d8502af80048d4175dec13358588a12a4296ede635ee149b52f1b326a6df5b59");
    }

    const SMALL: Rule = Rule { most: 6, whole: 3, top: 2, large: 6, below: 3 };

    fn projects() -> impl Strategy<Value = Selection> {
        let path = vec("[abc]|a-", 1..5).prop_map(|names| names.join("/"));
        btree_map(path, any::<u8>(), 0..60).prop_map(|files| {
            // Files end in what no directory is called.
            let files = files.iter().map(|(path, content)| item(&format!("{path}.c"), *content));
            selection(files.collect())
        })
    }

    fn layers(selection: &Selection) -> Vec<(LayerId, Part<'_>)> {
        let parts = part(&selection.items, &SMALL).into_iter();
        parts.map(|part| (select::id(part.items.iter().copied()), part)).collect()
    }

    proptest! {
        #[test]
        fn every_item_is_in_one_layer(project in projects()) {
            let layers = layers(&project);
            prop_assert!(layers.len() <= SMALL.most);
            for (_, part) in &layers {
                prop_assert!(!part.items.is_empty());
                prop_assert!(part.items.is_sorted_by_key(|item| &item.path));
                let within = |item: &&Item| {
                    part.at.is_empty() || item.path.as_str().starts_with(&format!("{}/", part.at))
                };
                prop_assert!(part.items.iter().all(within));
            }
            let mut all: Vec<&Item> =
                layers.iter().flat_map(|(_, part)| &part.items).copied().collect();
            all.sort_by_key(|item| &item.path);
            prop_assert_eq!(all, project.items.iter().collect::<Vec<_>>());
        }

        #[test]
        fn other_bytes_change_one_layer(project in projects(), at: Index) {
            prop_assume!(!project.items.is_empty());
            let mut items = project.items.clone();
            let changed = at.get(&project.items).path.clone();
            let index = at.index(items.len());
            items[index] = item(changed.as_str(), 0);
            items[index].kind = ItemKind::Symlink { target: "elsewhere".to_owned() };
            let other = selection(items);
            for ((before, part), (after, _)) in layers(&project).iter().zip(layers(&other)) {
                let has = part.items.iter().any(|item| item.path == changed);
                prop_assert_eq!(*before != after, has);
            }
        }

        #[test]
        fn equal_directories_are_equal_layers(one in projects(), two in projects(), from: Index) {
            // The second project has one layer's directory as the first has it.
            let in_one = layers(&one);
            prop_assume!(!in_one.is_empty());
            let (_, shared) = from.get(&in_one);
            prop_assume!(!shared.at.is_empty());
            let within = |item: &&Item| item.path.as_str().starts_with(&format!("{}/", shared.at));
            let outside = two.items.iter().filter(|item| !within(item));
            let items = outside.chain(one.items.iter().filter(within)).cloned().collect();
            let two = selection(items);
            for (id, part) in layers(&two) {
                for (other, same) in &in_one {
                    let equal = part.items == same.items;
                    prop_assert_eq!(id == *other, equal);
                }
            }
        }
    }
}
