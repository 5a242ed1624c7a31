"""What computes on a processor: the same function as the network's own, to the last bit wherever it runs."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small_encoders import small_encoder

from ris.config import Network
from ris.encoders import cache, convert_default, named, pytorch, runtime
from ris.encoders.backbone import create
from ris.encoders.conversion import converted
from ris.encoders.encoder import Encoder
from ris.encoders.named import choose, restore
from ris.encoders.runtime import Precision, has_bf16, on_processor
from ris.encoders.transforms import Pixels
from ris.errors import RisError
from ris.indexes.vectors import Vectors

PRECISIONS = [
    "fp32",
    pytest.param("bf16", marks=pytest.mark.skipif(not has_bf16(), reason="no bf16 in this processor")),
]


def noise(count: int, network: Network, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (count, 3, network.crop, network.crop), np.uint8)


def cosines(one: Vectors, other: Vectors) -> Vectors:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)


@pytest.fixture(scope="module")
def encoder(tiny: Network) -> Encoder:
    torch.manual_seed(0)
    return Encoder(tiny, create(tiny).eval())


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_vector_is_the_same_to_the_last_bit_however_many_are_computed(
    encoder: Encoder, precision: Precision
) -> None:
    model, pixels = converted(encoder.module, encoder.network), noise(12, encoder.network)
    one, two = (on_processor(model, precision, threads) for threads in (1, 2))
    alone = np.concatenate([one(picture[None]) for picture in pixels])
    assert np.array_equal(one(pixels), alone)
    assert np.array_equal(two(pixels), alone)
    order = np.random.default_rng(1).permutation(len(pixels))
    assert np.array_equal(two(pixels[order]), alone[order])


def test_threads_that_compute_at_once_get_their_own_vectors(encoder: Encoder) -> None:
    compute = on_processor(converted(encoder.module, encoder.network), "fp32", 2)
    asked = [noise(1 + number % 4, encoder.network, number) for number in range(16)]
    expected = [compute(pixels) for pixels in asked]
    barrier = threading.Barrier(16)

    def ask(pixels: Pixels) -> Vectors:
        barrier.wait()
        return compute(pixels)

    with ThreadPoolExecutor(16) as pool:
        for found, vectors in zip(pool.map(ask, asked), expected, strict=True):
            assert np.array_equal(found, vectors)


@pytest.mark.parametrize(("precision", "least"), [("fp32", 1 - 1e-6), ("bf16", 0.99)])
def test_it_computes_what_pytorch_computes(encoder: Encoder, precision: Precision, least: float) -> None:
    if precision == "bf16" and not has_bf16():
        pytest.skip("no bf16 in this processor")
    pixels = noise(8, encoder.network)
    ours = on_processor(converted(encoder.module, encoder.network), precision, 2)(pixels)
    theirs = pytorch.on_gpu(encoder.module, encoder.network, "fp32", "cpu")(pixels)
    assert ours.dtype == np.float32
    assert cosines(ours, theirs).min() > least


def test_a_precision_that_the_processor_lacks_is_refused(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class WithoutIt:
        def compile_model(self, *_: object) -> Any:
            return SimpleNamespace(get_property=lambda _: runtime._TYPES["fp32"])

    model = converted(encoder.module, encoder.network)
    monkeypatch.setattr(runtime, "core", WithoutIt)
    with pytest.raises(RisError, match="does not compute in bf16"):
        on_processor(model, "bf16", 1)


@pytest.mark.parametrize("damage", ["none", "network.bin", "network.xml", "checksums.json"])
def test_what_was_converted_is_read_again_unless_it_is_damaged(
    encoder: Encoder, tmp_path: Path, damage: str
) -> None:
    place = tmp_path / "kept"
    model = converted(encoder.module, encoder.network)
    cache.keep(place, model)
    if damage != "none":
        content = bytearray((place / damage).read_bytes())
        content[len(content) // 2] ^= 1
        (place / damage).write_bytes(content)
    again = cache.read(place)
    assert (again is None) == (damage != "none")
    if again is not None:
        pixels = noise(3, encoder.network)
        expected = on_processor(model, "fp32", 1)(pixels)
        assert np.array_equal(on_processor(again, "fp32", 1)(pixels), expected)


def test_a_cache_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RIS_CACHE", str(tmp_path / "file"))
    identity, weights = choose(small_encoder(tmp_path / "encoder"))
    assert restore(identity, weights).embed(noise(1, identity.network)).shape == (1, 96)


def test_the_default_network_of_the_package_is_that_of_the_published_weights(tmp_path: Path) -> None:
    convert_default.main(tmp_path)
    anew, packaged = (cache.read(folder / named.DEFAULT) for folder in (tmp_path, named.CONVERTED))
    assert anew is not None
    assert packaged is not None
    pixels = noise(2, named.BACKBONES[named.DEFAULT])
    expected = on_processor(anew, "fp32", 1)(pixels)
    assert np.allclose(on_processor(packaged, "fp32", 1)(pixels), expected, rtol=1e-4, atol=1e-4)


def test_a_second_process_reads_what_the_first_converted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RIS_CACHE", str(tmp_path / "cache"))
    identity, weights = choose(small_encoder(tmp_path / "encoder"))
    expected = restore(identity, weights).embed(noise(1, identity.network))
    monkeypatch.setattr(named, "_module", None)
    assert np.array_equal(restore(identity, weights).embed(noise(1, identity.network)), expected)


def test_the_default_encoder_needs_no_pytorch_and_calls_nobody(tmp_path: Path) -> None:
    (tmp_path / "openvino_telemetry").mkdir()
    (tmp_path / "openvino_telemetry/__init__.py").write_text("open('called', 'w')")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
from ris.encoders.named import choose, restore
restore(*choose(None))
print("torch" in sys.modules)
import openvino_telemetry
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False"], done.stderr
    assert "ModuleNotFoundError" in done.stderr
    assert not (tmp_path / "called").exists()


def test_vectors_of_a_gpu_are_refused_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pytorch, "gpu", lambda: None)
    identity, _ = choose(None)
    with pytest.raises(RisError, match="made on a GPU"):
        restore(identity.model_copy(update={"runtime": "pytorch"}), None)
    with pytest.raises(RisError, match="PyTorch sees no cuda"):
        choose(None, "cuda")


def test_a_gpu_computes_by_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its path with the processor in its place."""
    monkeypatch.setattr(pytorch, "gpu", lambda: "cpu")
    identity, _ = choose(None)
    computed = restore(identity, None)
    by_pytorch = restore(identity.model_copy(update={"runtime": "pytorch"}), None)
    pixels = noise(2, identity.network)
    assert cosines(by_pytorch.embed(pixels), computed.embed(pixels)).min() > 0.99


def test_another_runtime_or_precision_is_another_identity() -> None:
    identity, _ = choose(None)
    others = [{"runtime": "pytorch"}, {"precision": "bf16" if identity.precision == "fp32" else "fp32"}]
    for other in others:
        assert identity.model_copy(update=other).seal != identity.seal
    with pytest.raises(RisError, match="of another version"):
        named.read_identity(identity.model_dump(exclude={"runtime"}))


def test_a_signal_after_networks_came_and_went_ends_nothing() -> None:
    """Handlers of signals run on a stack that a runtime may have taken away."""
    script = """
import os, signal
import openvino as ov
from openvino import opset13 as ops
from ris.encoders.runtime import on_processor

def network():
    picture = ops.parameter([1, 3, 8, 8], ov.Type.u8)
    return ov.Model([ops.convert(picture, "f32")], [picture])

first = on_processor(network(), "fp32", 1)
second = on_processor(network(), "fp32", 1)
del first
del second
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
