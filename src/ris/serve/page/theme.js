// The look that was chosen, before anything is drawn. "auto" goes by the system.
{
  const chosen = localStorage.getItem("look");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.look = chosen;
}
