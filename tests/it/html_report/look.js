// What the page shows, as numbers: from the attributes of what is drawn, and from where it is drawn.
(() => {
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
    requests: sum("#timeline rect[data-failed]", "n"),
    failed: sum("#timeline rect[data-failed]", "failed"),
    bytes: sum("#timeline rect[data-failed]", "bytes"),
    retries: sum("#timeline rect.retry[data-n]", "n"),
    aggregated: document.getElementById("aggregated") !== null,
    latency: sum("#latency rect[data-n]", "n"),
    percentiles: Object.fromEntries(all("[data-percentile]").map((mark) => [mark.dataset.percentile, Number(mark.dataset.us)])),
    windows: all("#windows [data-kind]").map(({ dataset }) => [dataset.table, dataset.kind, Number(dataset.n)]),
    rows: Object.fromEntries(all("#rows rect").map(({ dataset }) => [dataset.name, Number(dataset.value)])),
    read: sum("#bytes rect", "value"),
    tables: Object.fromEntries(all("#tables tbody tr").map((row) => [row.cells[0].textContent,
      [...row.cells].slice(1).map((cell) => Number(cell.textContent.replaceAll(",", "")))])),
    warnings: all("#warnings li").map((item) => item.querySelector("span").textContent),
    days: all("#runs-per-day rect[data-day]").map(({ dataset }) => [dataset.day, dataset.key, Number(dataset.value)]),
    durations: all("#durations [data-name]").map((flow) => [flow.dataset.name, Number(flow.dataset.runs),
      ...[...flow.querySelectorAll("circle")].reverse().map((point) => Number(point.dataset.value))]),
    firstLook: document.getElementById("first-look").innerText,
    drawn: {
      pictures: all("svg[role=img]").every((picture) => size(picture, "width") > 100 && size(picture, "height") > 20),
      rows: scale("#rows rect", "width"),
      days: scale("#runs-per-day rect[data-day]", "height"),
    },
    // Nothing is wider than the window.
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    scripts: document.scripts.length,
    background: getComputedStyle(document.body).backgroundColor,
  };
})()
