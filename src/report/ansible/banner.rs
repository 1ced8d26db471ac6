//! A heading that stars fill up to the width of the terminal.

/// An empty line, the text, and stars up to one column behind `width` (three at least).
pub fn banner(text: &str, width: usize) -> String {
    let text = text.trim();
    let stars = width.saturating_sub(console::measure_text_width(text)).max(3);
    format!("\n{text} {}", "*".repeat(stars))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_fill_the_line() {
        assert_eq!(banner("PLAY [a]", 20), "\nPLAY [a] ************");
        assert_eq!(banner(&"x".repeat(90), 79), format!("\n{} ***", "x".repeat(90)));
    }
}
