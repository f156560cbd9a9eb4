// Lists as files for spreadsheets. Owns RFC 4180, and that no cell of ours is taken for a formula.

/**
 * A cell. Every one is quoted. What a spreadsheet would calculate, at the beginning of a cell or of something
 * that it may take for one (behind a semicolon, a tab or a line's end), has an apostrophe in front.
 */
export function cell(value) {
    const harmless = String(value ?? '')
        .replace(
            /(^|[;\t\r\n])([\s"'\u200b-\u200f\u2028-\u202e\u2060-\u2069]*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g,
            "$1$2'",
        )
        .replace(/^(?=[\t\r])/, "'");
    return `"${harmless.replaceAll('"', '""')}"`;
}

/** A file of rows, each ended as RFC 4180 has it. */
export function csv(rows) {
    return rows.map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}
