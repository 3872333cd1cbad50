// What the page shows, as numbers: from the attributes of what is drawn, and from where it is drawn.
(() => {
  // A collapsed chart has no size.
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  const all = (selector) => [...document.querySelectorAll(selector)];
  const sum = (selector, name) => all(selector).reduce((sum, mark) => sum + Number(mark.dataset[name]), 0);
  const size = (mark, side) => mark.getBoundingClientRect()[side];
  // The least and the most that a unit is long, of marks that are long enough to tell.
  const scale = (selector, side) => {
    const marks = all(selector).filter((mark) => size(mark, side) > 12);
    const units = marks.map((mark) => size(mark, side) / Number(mark.dataset.value));
    return marks.length ? [Math.min(...units), Math.max(...units)] : null;
  };
  return {
    sections: all("section").map((section) => section.id),
    status: document.getElementById("status").textContent,
    failure: document.getElementById("failure")?.textContent ?? null,
    subject: document.getElementById("subject").textContent,
    tiles: Object.fromEntries(all("[data-tile]").map((tile) => [tile.dataset.tile, Number(tile.dataset.value)])),
    tracks: Object.fromEntries(all("[data-listing]").map((track) => [track.dataset.listing,
      [...track.querySelectorAll("rect[data-failed]")].reduce((sum, mark) => sum + Number(mark.dataset.n), 0)])),
    requests: sum("#requests rect[data-failed]", "n"),
    failed: sum("#requests rect[data-failed]", "failed"),
    bytes: sum("#requests rect[data-failed]", "bytes"),
    retries: sum("#requests rect.retry[data-n]", "n"),
    aggregated: document.getElementById("aggregated") !== null,
    windows: all("#requests [data-kind]").map(({ dataset }) => [dataset.table, dataset.kind, Number(dataset.n)]),
    tables: Object.fromEntries(all("#tables tbody tr").map((row) => [row.cells[0].textContent,
      [...row.cells].slice(1).map((cell) => Number(cell.textContent.replaceAll(",", "")))])),
    warnings: all("#warnings li").map((item) => item.querySelector("span").textContent),
    days: all("#runs-per-day [data-day]").map(({ dataset }) => [dataset.day, dataset.key, Number(dataset.value)]),
    durations: all("#durations tbody tr").map((row) => [row.cells[0].dataset.value,
      ...[...row.cells].slice(1).map((cell) => Number(cell.dataset.value))]),
    failedRuns: all("#failed-runs tbody tr").map((row) => [...row.cells].map((cell) => cell.dataset.value)),
    data: document.getElementById("data").innerText,
    drawn: {
      pictures: all("svg[role=img]").every((picture) => size(picture, "width") > 100 && size(picture, "height") > 20),
      days: scale("#runs-per-day [data-day]", "height"),
    },
    // Nothing is wider than the window.
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    // No label in the charts of the data is outside of its section.
    clipped: all("#data .days span, #data .legend li, #data .records td").filter((label) => {
      const [inner, outer] = [label.getBoundingClientRect(), label.closest("section").getBoundingClientRect()];
      return inner.left < outer.left || inner.right > outer.right;
    }).map((label) => label.textContent),
    scripts: document.scripts.length,
    background: getComputedStyle(document.body).backgroundColor,
  };
})()
