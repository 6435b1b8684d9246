/** Tables on stdout: the first column left, the others right, as wide as what is in them. */

export type Row = readonly string[];

/** The lines of a table; all rows have as many cells as the head. */
export function table(head: Row, rows: readonly Row[]): string[] {
  const widths = head.map((cell, i) => Math.max(cell.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: Row): string =>
    row
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
      .join('  ')
      .trimEnd();
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

const WHOLE = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 });

export function whole(n: number): string {
  return WHOLE.format(n);
}

export function fixed(n: number, digits = 2): string {
  return n.toFixed(digits);
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}
