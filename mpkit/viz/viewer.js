// The front end of Viewer: sliders and four pictures. Dragging on a picture turns the head.
const DEGREES_PER_PIXEL = 0.25;

function render({ model, el }) {
  const values = { ...model.get("values") };
  const start = { ...values };
  let waiting = false, changed = false;

  function send() {
    if (waiting) { changed = true; return; }  // the newest values follow when the pictures arrive
    waiting = true;
    changed = false;
    model.set("values", { ...values });
    model.save_changes();
  }

  const panels = document.createElement("div");
  panels.className = "mpkit-panels";
  const images = model.get("captions").map((caption) => {
    const figure = panels.appendChild(document.createElement("figure"));
    const image = figure.appendChild(document.createElement("img"));
    image.alt = caption;
    image.draggable = false;
    figure.appendChild(document.createElement("figcaption")).textContent = caption;
    return image;
  });

  const sliders = {};
  const form = document.createElement("div");
  form.className = "mpkit-controls";
  for (const { name, label, least, largest, step } of model.get("controls")) {
    const row = form.appendChild(document.createElement("label"));
    row.append(label);
    const slider = row.appendChild(document.createElement("input"));
    Object.assign(slider, { type: "range", min: least, max: largest, step, value: values[name] });
    slider.addEventListener("input", () => set(name, Number(slider.value)));
    sliders[name] = slider;
  }
  const reset = form.appendChild(document.createElement("button"));
  reset.textContent = "as in the picture";
  reset.addEventListener("click", () => Object.entries(start).forEach(([name, value]) => set(name, value)));
  const error = form.appendChild(document.createElement("p"));

  function set(name, value) {
    const { min, max } = sliders[name];
    values[name] = Math.min(Number(max), Math.max(Number(min), value));
    sliders[name].value = values[name];
    send();
  }

  let last = null;
  panels.addEventListener("pointerdown", (event) => {
    last = event;
    panels.setPointerCapture(event.pointerId);
  });
  panels.addEventListener("pointermove", (event) => {
    if (!last) return;
    set("yaw", values.yaw + (event.clientX - last.clientX) * DEGREES_PER_PIXEL);
    set("pitch", values.pitch + (event.clientY - last.clientY) * DEGREES_PER_PIXEL);
    last = event;
  });
  panels.addEventListener("pointerup", () => { last = null; });
  panels.addEventListener("pointercancel", () => { last = null; });

  function show() {
    model.get("pictures").forEach((data, index) => {
      URL.revokeObjectURL(images[index].src);
      images[index].src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
    });
    error.textContent = model.get("error");
    waiting = false;
    if (changed) send();
  }

  model.on("change:pictures", show);
  show();
  el.append(panels, form);
  return () => model.off("change:pictures", show);
}

export default { render };
