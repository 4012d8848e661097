// Take the chosen theme before anything is drawn; without a choice the system's is taken.
try {
  const chosen = localStorage.getItem("mrs-relay-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* a browser that keeps nothing */ }
document.documentElement.classList.add("scripts");
