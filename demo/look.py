"""The look of the page: colours, styles, and a script that mends what Gradio leaves out of videos and thumbnails."""

import gradio as gr

THEME = gr.themes.Base(
    primary_hue="stone", neutral_hue="stone", radius_size="lg", font=("ui-sans-serif", "system-ui", "sans-serif")
).set(
    body_background_fill="#f6f2ea",
    body_background_fill_dark="#191714",
    block_background_fill="#fffdf9",
    block_background_fill_dark="#221f1b",
    block_border_color="#e6dfd2",
    block_border_color_dark="#37322b",
    block_shadow="0 1px 2px rgb(60 45 20 / 6%)",
    button_primary_background_fill="#33453d",
    button_primary_background_fill_hover="#40574c",
    button_primary_background_fill_dark="#cfc3a6",
    button_primary_background_fill_hover_dark="#dfd5bd",
    button_primary_text_color="#fffdf9",
    button_primary_text_color_dark="#191714",
    button_secondary_background_fill="#ece6d9",
    button_secondary_background_fill_hover="#e3dbc9",
    button_secondary_background_fill_dark="#332f28",
    button_secondary_background_fill_hover_dark="#403a31",
    checkbox_label_background_fill="#f3eee3",
    checkbox_label_background_fill_hover="#ece6d9",
    checkbox_label_background_fill_selected="#dfe6dc",
    checkbox_label_background_fill_dark="#2c2823",
    checkbox_label_background_fill_hover_dark="#37322b",
    checkbox_label_background_fill_selected_dark="#36423b",
    checkbox_background_color_selected="#5d7a6c",
    checkbox_background_color_selected_dark="#8fae9f",
    color_accent="#6b8b7c",
    slider_color="#6b8b7c",
)
CSS = """
.gradio-container { max-width: 1180px !important; margin: 0 auto; overflow: clip !important; }
#title { padding: 0.4rem 0 0; }
.prose code { overflow-wrap: anywhere; white-space: normal; }
#title h1 { font-family: Georgia, "Times New Roman", serif; font-weight: 400; font-size: 2.2rem; margin: 0 0 0.3rem; }
#title p { font-size: 1.05rem; max-width: 46rem; }
#result video { max-height: 520px; }
#pairs img, #works img, #motions img { aspect-ratio: 1; }
#pairs .grid-container, #works .grid-container, #motions .grid-container {
  grid-template-columns: repeat(var(--grid-cols), minmax(0, 1fr));
}
#pairs .grid-wrap, #works .grid-wrap, #motions .grid-wrap { min-height: 0; max-height: none; padding-top: 1.9rem; }
#pairs .caption-label, #works .caption-label { display: none; }
#motions .caption-label { font-size: 0.7rem; }
.quiet p { font-size: 0.9rem; opacity: 0.85; }
.stays { position: sticky; top: 0; z-index: 100; background: var(--body-background-fill); }
#newest:not(:has(img)), .gradio-container:has(#newest img) #result { display: none; }
#line { min-height: 2.8rem; }
.until-made:has(.empty) { display: none; }
[role="tab"][aria-selected="true"] { color: #3f5f51 !important; }
.dark [role="tab"][aria-selected="true"] { color: #a9c6b7 !important; }
footer { opacity: 0.8; }
@media (max-width: 640px) {
  #title h1 { font-size: 1.6rem; }
  .result-first { order: -1; }
  #puppet { height: 34vh !important; }
  .tab-container button { padding: 0 0.45rem; font-size: 0.85rem; }
}
"""
# Phones start a video by themselves only if it is muted and plays in its place on the page. Screen readers get the
# title of a thumbnail instead of its number.
HEAD = """
<meta name="viewport" content="width=device-width, initial-scale=1">
<script>
new MutationObserver(() => {
  document.querySelectorAll("video:not([playsinline])").forEach((video) => {
    video.setAttribute("playsinline", "");
    if (video.autoplay) video.muted = true;
  });
  document.querySelectorAll("button.thumbnail-item").forEach((button) => {
    const title = button.querySelector(".caption-label")?.textContent.trim();
    if (title && button.ariaLabel !== title) button.ariaLabel = title;
  });
}).observe(document.documentElement, { childList: true, subtree: true });
</script>
"""
TITLE = """
# A portrait comes alive
Choose a portrait and a motion: the portrait moves like the person, and a painting keeps its brush strokes.
"""
CONSENT = """
Animate only people who agreed to it, and say that the result is made up. The video says so in its metadata.
"""
