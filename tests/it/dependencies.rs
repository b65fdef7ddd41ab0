//! Call down, tell up: which room of the `api` crate may know which.
//!
//! A room is a module at the top of the crate. It may name the rooms on lower shelves; a room on
//! its own shelf, or above, only if that edge is listed with its reason. Tests may name anything.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

/// The rooms, lowest shelf first.
const SHELVES: &[(&str, &[&str])] = &[
    ("ground", &["failure", "clock", "config", "tls"]),
    ("values", &["checks", "signatures", "telemetry"]),
    ("store", &["db"]),
    ("transaction", &["tx", "events", "access"]),
    (
        "facts",
        &[
            "pricing",
            "catalogue",
            "inventory",
            "payments",
            "shipping",
            "documents",
            "notifications",
            "exceptions",
            "ledger",
        ],
    ),
    ("books", &["invoicing"]),
    ("aggregate", &["orders"]),
    (
        "flows",
        &[
            "capture",
            "fulfillment",
            "returns",
            "settlement",
            "reports",
            "exports",
            "erasure",
            "integrity",
        ],
    ),
    ("wiring", &["app"]),
    ("work", &["workers", "demo"]),
    ("play", &["simulate"]),
    ("surfaces", &["graphql", "http"]),
    ("process", &["server", "simulate"]),
    ("commands", &["cli"]),
    ("program", &["main"]),
];

/// Edges that the shelves do not allow, each with its reason.
const LISTED: &[(&str, &str, &str)] = &[
    (
        "tx",
        "events",
        "a transaction writes its events right before it commits",
    ),
    ("events", "tx", "the log says who acted"),
    ("access", "tx", "keys are made and revoked in transactions"),
    (
        "catalogue",
        "pricing",
        "the catalogue's rows become the arguments of pure functions",
    ),
    (
        "catalogue",
        "inventory",
        "a new variant or warehouse gets its stock rows in the same transaction",
    ),
    (
        "catalogue",
        "shipping",
        "the carriers' tariffs are kept in memory with the other small tables",
    ),
    (
        "shipping",
        "pricing",
        "surcharges are rounded as all money is",
    ),
    (
        "config",
        "tls",
        "a file of certificates is read with the settings, so that its mistakes are among theirs",
    ),
    (
        "graphql",
        "http",
        "resolvers read what the transport knows of a request: its id, its idempotency key",
    ),
    (
        "demo",
        "workers",
        "its two days are worked off by the rounds that work off everybody's",
    ),
];

#[test]
fn no_room_knows_a_higher_one() {
    let crate_ = Crate::read(Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../api/src"
    )));
    let mistakes = mistakes(&crate_.edges);
    assert!(mistakes.is_empty(), "\n{}", mistakes.join("\n"));
}

#[test]
fn every_file_belongs_to_a_module() {
    let src = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../api/src"));
    let crate_ = Crate::read(src);
    let mut there = BTreeSet::new();
    files_below(src, &mut there);
    let orphans: Vec<_> = there.difference(&crate_.files).collect();
    assert!(orphans.is_empty(), "no `mod` declares them: {orphans:?}");
}

#[test]
fn every_way_to_name_a_room_is_seen() {
    let seen = |source: &str| -> Vec<String> {
        let mut walk = Walk::new("orders", vec!["orders".to_owned(), "edit".to_owned()]);
        walk.visit_file(&syn::parse_file(source).unwrap());
        walk.rooms.into_iter().collect()
    };
    for (source, rooms) in [
        ("use crate::app::App;", vec!["app"]),
        (
            "pub use crate::{app::{self, App}, tx as t};",
            vec!["app", "tx"],
        ),
        ("use super::super::capture;", vec!["capture"]),
        (
            "use super::{lines, super::capture::intake};",
            vec!["capture"],
        ),
        (
            "use super::lifecycle; use self::x; use crate::orders::y;",
            vec![],
        ),
        ("fn f() { crate::app::g(); }", vec!["app"]),
        (
            "fn f(x: &crate::app::App) -> impl crate::clock::Clock {}",
            vec!["app", "clock"],
        ),
        ("impl crate::app::T for X {}", vec!["app"]),
        ("fn f() { vec![crate::app::g()]; }", vec!["app"]),
        (
            "#[graphql(guard = crate::graphql::Allowed)] struct X;",
            vec!["graphql"],
        ),
        (
            "pub(crate) fn f() {} pub(in crate::orders) fn g() {}",
            vec![],
        ),
        (
            "//! See [`crate::app`].\n/// And [`crate::http`].\nfn f() {}",
            vec![],
        ),
        ("#[cfg(test)] mod tests { use crate::app; }", vec![]),
        ("#[cfg(test)] use crate::app;", vec![]),
        ("#[cfg(not(test))] use crate::app;", vec!["app"]),
        (
            "mod inner { use super::super::super::capture; }",
            vec!["capture"],
        ),
    ] {
        assert_eq!(seen(source), rooms, "{source}");
    }
}

#[test]
fn a_forbidden_edge_is_named_with_its_place() {
    let edge = |from: &str, to: &str| {
        let mut edges = Edges::new();
        for (listed_from, listed_to, _) in LISTED {
            edges.insert(((*listed_from).into(), (*listed_to).into()), "x.rs".into());
        }
        edges.insert(
            (from.to_owned(), to.to_owned()),
            "orders/edit.rs".to_owned(),
        );
        mistakes(&edges)
    };
    assert!(edge("orders", "pricing").is_empty());
    assert_eq!(
        edge("orders", "capture"),
        ["orders knows capture, which is not below it (orders/edit.rs)"]
    );
    assert_eq!(
        edge("pricing", "payments"),
        ["pricing knows payments, which is not below it (orders/edit.rs)"]
    );
    assert_eq!(
        edge("attic", "tx"),
        ["attic is on no shelf (orders/edit.rs)"]
    );
}

#[test]
fn a_listed_edge_that_nobody_needs_is_named() {
    let found = mistakes(&Edges::new());
    assert_eq!(found.len(), LISTED.len(), "{found:?}");
    assert_eq!(
        found[0],
        "tx knows events no more: the edge can go from the list"
    );
}

/// The edges between rooms, each with a file that has it.
type Edges = BTreeMap<(String, String), String>;

fn mistakes(edges: &Edges) -> Vec<String> {
    let shelf = |room: &str| SHELVES.iter().position(|(_, rooms)| rooms.contains(&room));
    let mut mistakes = Vec::new();
    for ((from, to), place) in edges {
        let (Some(above), Some(below)) = (shelf(from), shelf(to)) else {
            let unknown = if shelf(from).is_none() { from } else { to };
            let mistake = format!("{unknown} is on no shelf ({place})");
            if !mistakes.contains(&mistake) {
                mistakes.push(mistake);
            }
            continue;
        };
        let listed = LISTED.iter().any(|(f, t, _)| f == from && t == to);
        if below >= above && !listed {
            mistakes.push(format!(
                "{from} knows {to}, which is not below it ({place})"
            ));
        }
    }
    for (from, to, _) in LISTED {
        if !edges.contains_key(&((*from).to_owned(), (*to).to_owned())) {
            mistakes.push(format!(
                "{from} knows {to} no more: the edge can go from the list"
            ));
        }
    }
    mistakes
}

fn files_below(folder: &Path, into: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.insert(path);
        }
    }
}

/// A crate as its `mod` declarations lay it out.
struct Crate {
    files: BTreeSet<PathBuf>,
    edges: Edges,
}

impl Crate {
    fn read(src: &Path) -> Crate {
        let mut crate_ = Crate {
            files: BTreeSet::new(),
            edges: Edges::new(),
        };
        crate_.file(src, &src.join("lib.rs"), src, Vec::new(), false);
        crate_.file(
            src,
            &src.join("main.rs"),
            src,
            vec!["main".to_owned()],
            false,
        );
        crate_
    }

    /// Reads a file and those of the modules it declares, which are in `folder`.
    fn file(&mut self, src: &Path, file: &Path, folder: &Path, module: Vec<String>, test: bool) {
        self.files.insert(file.to_owned());
        let source = std::fs::read_to_string(file).unwrap();
        let syntax =
            syn::parse_file(&source).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let place = file.strip_prefix(src).unwrap().display().to_string();
        if let (Some(room), false) = (module.first(), test) {
            let mut walk = Walk::new(room, module.clone());
            walk.visit_file(&syntax);
            for to in walk.rooms {
                let edge = (room.clone(), to);
                self.edges.entry(edge).or_insert_with(|| place.clone());
            }
        }
        self.declared(src, &syntax.items, folder, &module, test);
    }

    fn declared(
        &mut self,
        src: &Path,
        items: &[syn::Item],
        folder: &Path,
        module: &[String],
        test: bool,
    ) {
        for item in items {
            let syn::Item::Mod(item) = item else { continue };
            let name = item.ident.to_string();
            let test = test || is_test(&item.attrs);
            let inner: Vec<_> = module.iter().cloned().chain([name.clone()]).collect();
            let below = folder.join(&name);
            match &item.content {
                Some((_, items)) => self.declared(src, items, &below, &inner, test),
                None => {
                    let flat = folder.join(format!("{name}.rs"));
                    let file = if flat.exists() {
                        flat
                    } else {
                        below.join("mod.rs")
                    };
                    self.file(src, &file, &below, inner, test);
                }
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}

/// Collects the rooms that one file names, other than its own.
struct Walk {
    room: String,
    module: Vec<String>,
    rooms: BTreeSet<String>,
}

impl Walk {
    fn new(room: &str, module: Vec<String>) -> Walk {
        Walk {
            room: room.to_owned(),
            module,
            rooms: BTreeSet::new(),
        }
    }

    /// Takes a path in, whole or as far as a group of `use`.
    fn name(&mut self, segments: &[String]) {
        let mut names = segments.iter().map(String::as_str).peekable();
        let mut at = self.module.clone();
        match names.next() {
            Some("crate") => at.clear(),
            // The program sees the crate from outside.
            Some("api") if self.room == "main" => at.clear(),
            Some("self") => {}
            Some("super") => drop(at.pop()),
            _ => return,
        }
        for name in names {
            match name {
                "super" => drop(at.pop()),
                "self" => {}
                name => at.push(name.to_owned()),
            }
        }
        if let Some(room) = at.into_iter().next()
            && room != self.room
        {
            self.rooms.insert(room);
        }
    }

    fn tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| -> Vec<String> {
            before.iter().cloned().chain([name.to_string()]).collect()
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.name(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.name(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.name(before),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.tree(before, tree);
                }
            }
        }
    }

    /// Looks for paths in what is not parsed: the arguments of macros and attributes.
    fn tokens(&mut self, text: &str) {
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || "()[]{},;&!<>=".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        let text = words.join(" ").replace(" :: ", "::");
        for word in text.split(' ') {
            let segments: Vec<_> = word.split("::").map(str::to_owned).collect();
            if segments.len() > 1 {
                self.name(&segments);
            }
        }
    }
}

impl<'ast> Visit<'ast> for Walk {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.tree(&[], &item.tree);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if is_test(&item.attrs) {
            return;
        }
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            visit::visit_item_impl(self, item);
        }
    }

    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if segments.len() > 1 {
            self.name(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(&item.tokens.to_string());
        visit::visit_macro(self, item);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(&list.tokens.to_string());
        visit::visit_meta_list(self, list);
    }
}
