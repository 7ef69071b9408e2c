//! [`Page`]: a Markdown page under construction, with tables and plots.

use std::path::Path;

use crate::command::Result;

/// The page, its plots by name, and the other pages of the folder that it links to.
#[derive(Default)]
pub(crate) struct Page {
    text: String,
    plots: Vec<(String, String)>,
    links: Vec<&'static str>,
}

impl Page {
    pub(crate) fn heading(&mut self, heading: &str) {
        self.text += &format!("## {heading}\n\n");
    }

    /// Appends a paragraph.
    pub(crate) fn say(&mut self, text: &str) {
        self.text += text.trim_end();
        self.text += "\n\n";
    }

    /// Appends a table of numbers, right-aligned behind the first column.
    pub(crate) fn table(&mut self, heads: &[impl AsRef<str>], rows: &[Vec<String>]) {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let heads: Vec<String> = heads.iter().map(|head| head.as_ref().to_owned()).collect();
        let rule: Vec<&str> = (0..heads.len())
            .map(|at| if at == 0 { "---" } else { "--:" })
            .collect();
        self.text += &line(&heads);
        self.text += &format!("|{}|\n", rule.join("|"));
        for row in rows {
            self.text += &line(row);
        }
        self.text += "\n";
    }

    /// Appends a plot, with a text alternative.
    pub(crate) fn plot(&mut self, name: &str, words: &str, svg: String) {
        self.text += &format!("![{words}][performance/{name}.svg]\n\n");
        self.plots.push((name.to_owned(), svg));
    }

    /// Defines a link, whose label is the name of the other page's file.
    pub(crate) fn link(&mut self, target: &'static str) {
        self.links.push(target);
    }

    /// Appends another page.
    pub(crate) fn append(&mut self, page: Page) {
        self.text += &page.text;
        self.plots.extend(page.plots);
        self.links.extend(page.links);
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Writes the page and its plots into `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let plots = folder.join("performance");
        let write = || -> std::io::Result<()> {
            let _ = std::fs::remove_dir_all(&plots);
            std::fs::create_dir_all(&plots)?;
            for (name, svg) in &self.plots {
                std::fs::write(plots.join(name).with_extension("svg"), svg)?;
            }
            let mut text = self.text.trim_end().to_owned() + "\n\n";
            // The links' definitions, as in every page of the guide (`src/guide.rs`).
            for (name, _) in &self.plots {
                text += &format!("[performance/{name}.svg]: performance/{name}.svg\n");
            }
            for target in &self.links {
                text += &format!("[{target}]: {target}\n");
            }
            std::fs::write(folder.join("performance.md"), text)
        };
        write().map_err(|error| format!("{}: {error}", folder.display()))
    }
}
