"use strict";
// Plots are drawn as they come near the window, so that the page opens at once; all of them before printing.
(() => {
  const options = {
    responsive: true,
    displayModeBar: false, // dragging zooms, a double click goes back; pictures to save lie beside the page
  };
  const holders = [...document.querySelectorAll(".plot")];
  const draw = (holder) => {
    if (holder.dataset.drawn) return;
    holder.dataset.drawn = "yes";
    const figure = JSON.parse(document.getElementById("data-" + holder.dataset.figure).textContent);
    Plotly.newPlot(holder, figure.data, figure.layout, options);
  };
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          watcher.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "800px" },
  );
  for (const holder of holders) watcher.observe(holder);
  window.addEventListener("beforeprint", () => holders.forEach(draw));
})();
