"""The page in a browser: no error, no request, switches and tables work, dark and on a phone."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from ftax_model.report import page
from ftax_model.report.content import Content

CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here"),
]

PATIENCE_S = 60
HOSTILE = "<img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser without a window, at whatever page it was last."""
    assert CHROMIUM is not None
    assert DRIVER is not None
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def two(of_toys: Content) -> Content:
    """Toys in two frameworks on two devices, one of them with a name that tries to break out."""

    def doubled(table: pd.DataFrame) -> pd.DataFrame:
        other = table.assign(framework=HOSTILE, device="another")
        return pd.concat([table, other], ignore_index=True)

    return dataclasses.replace(of_toys, cells=doubled(of_toys.cells), crossovers=doubled(of_toys.crossovers))


@pytest.fixture
def opened(chromium: webdriver.Chrome, two: Content, tmp_path: Path) -> webdriver.Chrome:
    """The browser at the report of `two`, drawn, logs empty before."""
    size(chromium, 1280, 900)
    for log in ("browser", "performance"):
        chromium.get_log(log)
    visit(chromium, page.save(two, tmp_path / "report.html"))
    return chromium


def visit(driver: webdriver.Chrome, path: Path) -> None:
    driver.get(path.as_uri())
    wait(driver, "return document.documentElement.dataset.ready === 'yes'")


def wait(driver: webdriver.Chrome, condition: str) -> None:
    WebDriverWait(driver, PATIENCE_S, poll_frequency=0.05).until(lambda one: one.execute_script(condition))


def size(driver: webdriver.Chrome, width: int, height: int) -> None:
    told = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", told)


def errors(driver: webdriver.Chrome) -> list[dict[str, Any]]:
    return [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]


def drawn(driver: webdriver.Chrome, plot: str) -> int:
    return int(driver.execute_script(f"return document.getElementById('plot-{plot}').dataset.drawn"))


def marks(driver: webdriver.Chrome, plot: str) -> int:
    return len(driver.find_elements("css selector", f"#plot-{plot} .mark-symbol.role-mark path"))


def switch(driver: webdriver.Chrome, column: str, value: str) -> None:
    found = f"fieldset[data-column='{column}'] input"
    (box,) = [one for one in driver.find_elements("css selector", found) if one.get_attribute("value") == value]
    driver.execute_script("arguments[0].click()", box)


def test_no_error_and_no_request(opened: webdriver.Chrome, two: Content) -> None:
    assert errors(opened) == []
    events = [json.loads(entry["message"])["message"] for entry in opened.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert opened.title.startswith(two.title)
    for plot in opened.find_elements("css selector", ".plot"):
        assert plot.find_elements("css selector", ".drawing svg, .drawing canvas"), plot.get_attribute("id")


def test_switches_change_what_is_drawn(opened: webdriver.Chrome, two: Content) -> None:
    sizes = two.cells["batch_size"].nunique()
    assert drawn(opened, "latency") == sizes
    switch(opened, "device", "another")
    wait(opened, f"return document.getElementById('plot-latency').dataset.drawn === '{2 * sizes}'")
    before = marks(opened, "latency")
    for column, value in (("framework", HOSTILE), ("device", "another")):
        switch(opened, column, value)
        wait(opened, f"return document.getElementById('plot-latency').dataset.drawn === '{sizes}'")
        assert marks(opened, "latency") == before / 2
        assert drawn(opened, "crossover") == len(two.workloads)
        switch(opened, column, value)
        wait(opened, f"return document.getElementById('plot-latency').dataset.drawn === '{2 * sizes}'")
    for value in ("fake", HOSTILE):
        switch(opened, "framework", value)
    wait(opened, "return !document.querySelector('#plot-latency .empty').hidden")
    assert errors(opened) == []


def test_another_workload_is_shown(opened: webdriver.Chrome, two: Content) -> None:
    last = two.workloads[-1]
    picked = "const one = document.getElementById('workload'); one.value = arguments[0];"
    opened.execute_script(picked + "one.dispatchEvent(new Event('change', {bubbles: true}))", last)
    wait(opened, f"return document.querySelector('#plot-latency .of').textContent === {json.dumps(last)}")
    opened.execute_script("document.querySelector('#plot-latency details').open = true")
    wait(opened, "return document.querySelectorAll('#plot-latency tbody tr').length > 0")
    every = two.cells[two.cells["curve"] == last]
    own = every[every["device"] == two.devices[0]]
    lines = opened.find_elements("css selector", "#plot-latency tbody tr")
    assert len(lines) == len(own)
    texts = [[cell.text for cell in line.find_elements("css selector", "td")] for line in lines]
    shown = sorted(float(cells[4].replace(",", "")) for cells in texts)
    assert shown == pytest.approx(sorted(1e3 * own["predicted_s"]), rel=1e-3)
    assert len(opened.find_elements("css selector", "#best tbody tr")) == len(own)
    switch(opened, "device", "another")
    wait(opened, f"return document.getElementById('plot-latency').dataset.drawn === '{len(every)}'")
    assert len(opened.find_elements("css selector", "#plot-latency tbody tr")) == len(every)
    assert len(opened.find_elements("css selector", "#best tbody tr")) == len(every)


def test_no_name_breaks_out(opened: webdriver.Chrome) -> None:
    assert opened.title != "broken"
    assert HOSTILE in opened.find_element("css selector", "#switches").text
    assert opened.find_elements("css selector", "img") == []


def test_dark_and_light(opened: webdriver.Chrome) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    ink = "return document.querySelector('#plot-latency .role-axis-label text').getAttribute('fill')"
    before = opened.execute_script(background), opened.execute_script(ink)
    opened.execute_script("document.getElementById('theme').click()")
    wait(opened, f"{ink} !== {json.dumps(before[1])}")
    assert opened.execute_script(background) != before[0]
    assert errors(opened) == []


def test_it_fits_a_phone(chromium: webdriver.Chrome, two: Content, tmp_path: Path) -> None:
    long = "a model whose label is as long as that of a workload with all its hyperparameters " * 2
    cells = two.cells.replace({"curve": {two.workloads[0]: long}})
    crossovers = two.crossovers.replace({"curve": {two.workloads[0]: long}})
    size(chromium, 390, 844)
    visit(chromium, page.save(dataclasses.replace(two, cells=cells, crossovers=crossovers), tmp_path / "phone.html"))
    assert chromium.execute_script("return document.documentElement.scrollWidth") <= 390
    small = "return [...document.querySelectorAll('.drawing svg text')].filter(one => parseFloat(one.getAttribute("
    small += "'font-size') || getComputedStyle(one).fontSize) < 12).length"
    assert chromium.execute_script(small) == 0
    wide = "return [...document.querySelectorAll('.drawing')].map(one => one.getBoundingClientRect().right)"
    assert max(chromium.execute_script(wide)) <= 390
