// JSON as text. It is cut into pieces and indented without being decoded, so that large integers keep all
// their digits, and no further than what is shown.

const SPACE = /\s/;
// What would turn the order of what follows it, or show as nothing.
const UNSEEN = /[\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

export const seen = (text) => text.replace(UNSEEN, (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`);

function stringEnd(text, start) {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slash = end;
    while (text[slash - 1] === "\\") slash -= 1;
    if ((end - slash) % 2 === 0) return end + 1;
  }
  return text.length;
}

function* tokens(text, start) {
  for (let at = start; at < text.length;) {
    const letter = text[at];
    let end = at + 1;
    if (SPACE.test(letter)) {
      at = end;
      continue;
    }
    if (letter === '"') end = stringEnd(text, at);
    else if (!"{}[],:".includes(letter)) while (end < text.length && !"{}[],:\"".includes(text[end]) && !SPACE.test(text[end])) end += 1;
    yield [letter, at, end];
    at = end;
  }
}

// The values in an object or a list, each as its text; in an object with its name.
export function* parts(text) {
  let depth = 0;
  let name = null;
  let begin = -1;
  for (const [letter, at, end] of tokens(text, 0)) {
    const closes = letter === "}" || letter === "]";
    if (depth === 1 && (closes || letter === ",")) {
      if (begin >= 0) yield [name, text.slice(begin, at).trimEnd()];
      begin = -1;
      name = null;
    } else if (depth === 1 && letter === ":") {
      name = JSON.parse(text.slice(begin, at));
      begin = -1;
    } else if (depth >= 1 && begin < 0) begin = at;
    if (letter === "{" || letter === "[") depth += 1;
    if (closes) depth -= 1;
    if (depth === 0 && end === text.length) return;
  }
}

export const fields = (text) => Object.fromEntries(parts(text));
export const items = (text) => [...parts(text)].map(([, value]) => value);

export function shortened(text, limit) {
  return text.length > limit ? `${seen(text.slice(0, limit))}… (${text.length.toLocaleString("en")} characters)` : seen(text);
}

// `text` with a line for each value; no more than `limit` characters.
export function indented(text, limit) {
  const out = [];
  let size = 0;
  let depth = 0;
  let opened = false;
  const put = (piece) => { out.push(piece); size += piece.length; };
  const line = () => put(`\n${" ".repeat(Math.min(2 * depth, 200))}`);
  for (const [letter, at, end] of tokens(text, 0)) {
    const closes = letter === "}" || letter === "]";
    if (closes) depth -= 1;
    if (closes ? !opened : opened) line();
    opened = letter === "{" || letter === "[";
    if (opened) depth += 1;
    put(text.slice(at, Math.min(end, at + limit)));
    if (letter === ",") line();
    if (letter === ":") put(" ");
    if (size > limit) return { text: seen(out.join("").slice(0, limit)), cut: true };
  }
  return { text: seen(out.join("")), cut: false };
}
