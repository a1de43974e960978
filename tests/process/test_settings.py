"""etc/akjob.toml is taken when it is saved, and what is wrong in it is told."""

from tests.roots import Place
from tests.support import until


def test_a_saved_setting_is_live_and_a_wrong_one_is_shown(place: Place) -> None:
    """No restart, no half minute: `status` names the mistake as soon as it is saved, and forgets it when it is gone."""
    settings = place.root / "etc" / "akjob.toml"
    settings.write_text("bogus = 1\n")
    (told,) = until(lambda: place.status()["broken"], 10.0)
    assert (told["job"], told["file"], told["line"], told["column"]) == (None, "etc/akjob.toml", 1, 1)
    settings.write_text("max_running = 1\n")
    until(lambda: not place.status()["broken"], 10.0)
    place.job("slow", 'command = "sleep 1"\n[run]\noverlap = "allow"\n')
    until(lambda: place.known("slow"))
    runs = [place.run("slow") for _ in range(2)]
    first, second = sorted((place.wait(run) for run in runs), key=lambda row: str(row["started_at"]))
    assert second["started_at"] >= first["ended_at"]
