export const t = (key) => ({ copyCode: "Copy code", copied: "Copied" })[key] ?? key;
