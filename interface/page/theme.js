// Runs before the first paint, hence no module: a theme or language that was chosen is there from
// the beginning.
(() => {
  const kept = (name) => {
    try {
      return localStorage.getItem(`llm-chat:${name}`);
    } catch {
      return null;
    }
  };
  const theme = kept("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  const first = (navigator.languages ?? [navigator.language]).find((tag) => /^(zh|en)\b/i.test(tag)) ?? "en";
  document.documentElement.lang = (kept("language") ?? first).startsWith("zh") ? "zh-CN" : "en";
})();
