"""The demo page in a headless Chromium, as a visitor uses it."""

import pytest
from clips import sway, write_clip

from mpkit.media.images import write_png

SECOND = 1000  # ms


@pytest.fixture
def page(chromium, address):
    page = chromium.new_page(viewport={"width": 1440, "height": 1200})
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(address)
    page.get_by_role("button", name="Animate", exact=True).wait_for(timeout=60 * SECOND)
    yield page
    assert page.errors == []
    page.close()


def upload(page, still, clip):
    page.locator("input[type=file]").first.set_input_files(still)
    page.get_by_label("My clip").check()
    page.get_by_text("Drop Video Here").wait_for()
    page.locator("input[type=file][accept*=video]").first.set_input_files(clip)
    page.locator("video").nth(1).wait_for(timeout=60 * SECOND)


def outlined(page):
    """The outlined picture's address."""
    picture = page.get_by_alt_text("The portrait with its faces outlined")
    picture.wait_for(timeout=60 * SECOND)
    return picture.get_attribute("src")


def test_a_visitor_uploads_animates_and_gets_every_frame(page, tmp_path):
    write_png(tmp_path / "still.png", sway(1)[0])
    clip = write_clip(tmp_path / "clip.mp4", sway(7), rate=25)
    before = outlined(page)
    upload(page, str(tmp_path / "still.png"), str(clip))
    page.wait_for_function("before => !document.querySelector(`img[src='${before}']`)", arg=before)
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text("7 frames in").wait_for(timeout=120 * SECOND)
    video = page.locator("#result video")
    video.evaluate("video => video.readyState >= 1 || new Promise(done => video.onloadedmetadata = done)")
    assert video.evaluate("video => Math.round(video.duration * 25)") == 7
    assert video.get_attribute("playsinline") is not None
    page.get_by_text("Take it with you").click()
    assert "mpkit animate still.png clip.mp4" in page.locator(".cm-content").inner_text()


def test_a_mistake_is_a_sentence_and_the_last_result_stays(page, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")
    shown = page.locator("#result video").get_attribute("src")
    page.locator("input[type=file]").first.set_input_files(str(tmp_path / "text.jpg"))
    page.get_by_text("text.jpg is not a picture").first.wait_for(timeout=30 * SECOND)
    page.get_by_role("button", name="Animate", exact=True).click()
    page.get_by_text("That did not work:").wait_for(timeout=60 * SECOND)
    assert page.locator("#result video").get_attribute("src") == shown


def test_stop_ends_a_job(page):
    page.get_by_role("button", name="Animate", exact=True).click()
    page.locator("#newest img").wait_for(timeout=60 * SECOND)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("Stopped after").wait_for(timeout=10 * SECOND)
    assert page.locator("#newest img").count() == 0


def test_an_example_plays_at_once(page):
    before = page.locator("#result video").get_attribute("src")
    page.get_by_role("button", name="Portrait of a Young Man: nod").click()
    page.wait_for_function(
        "before => document.querySelector('#result video').src != before", arg=before, timeout=20 * SECOND
    )
    assert "young_man-nod" in page.locator("#result video").get_attribute("src")


def test_puppet_and_look_inside_follow_a_slider(page):
    page.get_by_role("tab", name="Puppet").click()
    picture = page.get_by_alt_text("The portrait as the sliders move it")
    picture.wait_for(timeout=60 * SECOND)
    before = picture.get_attribute("src")
    page.get_by_role("slider", name="Turn").fill("-25")
    page.wait_for_function("before => !document.querySelector(`img[src='${before}']`)", arg=before)
    page.get_by_role("tab", name="Look inside").click()
    page.get_by_alt_text("The new frame: the picture in its new motion.").wait_for(timeout=60 * SECOND)


@pytest.mark.parametrize("width, height", [(390, 844), (1440, 900)])
def test_the_puppet_stays_in_view_at_its_last_slider(chromium, address, width, height):
    page = chromium.new_page(viewport={"width": width, "height": height})
    page.goto(address)
    page.get_by_role("tab", name="Puppet").click()
    picture, stop = page.locator("#puppet img"), page.get_by_role("button", name="Stop recording")
    picture.wait_for(timeout=60 * SECOND)
    last = page.get_by_role("slider").last
    last.evaluate("slider => slider.scrollIntoView({ block: 'end' })")
    assert page.evaluate("scrollY") > 0
    box, slider = picture.bounding_box(), last.bounding_box()
    assert box["y"] >= 0 and box["y"] + box["height"] <= stop.bounding_box()["y"] < height
    assert slider["y"] + slider["height"] < height + 1 and (width > 640 or slider["y"] > stop.bounding_box()["y"])
    on_top = "box => document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).closest('#puppet')"
    assert page.evaluate(f"box => !!({on_top})(box)", box)
    page.close()


def test_lessons_are_served_where_they_were_made(page):
    import lessons

    page.get_by_role("tab", name="Look inside").click()
    if not lessons.BOOK.is_dir():
        page.get_by_text("notebooks/03_warp_fields.ipynb").first.wait_for(timeout=60 * SECOND)
        return
    link = page.get_by_role("link", name="Lesson 3: warp fields").first
    with page.expect_popup() as lesson:
        link.click()
    assert lesson.value.url.endswith("/lessons/03_warp_fields.html")
    lesson.value.get_by_role("heading").first.wait_for(timeout=60 * SECOND)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(chromium, address, scheme):
    page = chromium.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto(address)
    page.get_by_role("button", name="Animate", exact=True).wait_for(timeout=60 * SECOND)
    for name in ("Animate", "Puppet", "Look inside", "How it works", "Animate"):
        page.get_by_role("tab", name=name).click()  # none is hidden in a menu
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    result, portrait = (page.locator(css).bounding_box()["y"] for css in ("#result", "#works"))
    assert result < 844 and (result < portrait or portrait == 0)  # in sight below the button
    page.close()
