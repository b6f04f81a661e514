"""GPUs as numbers: what a launch block may ask about a target, with or without the card present."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gpu:
    """Limits of one target. Sizes in bytes; `arch` is the NVRTC name, e.g. "sm_90a"."""

    arch: str
    sms: int
    threads_per_sm: int
    blocks_per_sm: int
    shared_per_sm: int
    shared_per_block: int
    registers_per_sm: int = 65536

    @property
    def capability(self) -> int:
        """90 for sm_90 and sm_90a."""
        return int(self.arch.removeprefix("sm_").rstrip("af"))


# CUDA C++ programming guide 13.0, table "technical specifications per compute capability";
# sms is the count of the part named, used only where no card is asked.
TARGETS: dict[str, Gpu] = {
    g.arch: g
    for g in (
        Gpu("sm_80", 108, 2048, 32, 167936, 166912),  # A100
        Gpu("sm_86", 84, 1536, 16, 102400, 101376),  # RTX 3090 Ti
        Gpu("sm_89", 142, 1536, 24, 102400, 101376),  # L40S
        Gpu("sm_90", 132, 2048, 32, 233472, 232448),  # H100, H200
        Gpu("sm_100", 148, 2048, 32, 233472, 232448),  # B200
        Gpu("sm_120", 188, 1536, 24, 102400, 101376),  # RTX PRO 6000
    )
}


def occupancy(gpu: Gpu, threads: int, registers: int, shared: int) -> float:
    """Resident threads of `threads_per_sm`, 0 to 1, for a block of `threads`.

    Registers are allotted to a warp in units of 256 and a block pays 1 KiB of shared memory for
    the system: the rules of NVIDIA's occupancy calculator since sm_80.
    """
    warps = -(-threads // 32)
    warp_registers = -(-registers * 32 // 256) * 256
    by_registers = gpu.registers_per_sm // warp_registers // warps if registers else 1 << 30
    by_shared = gpu.shared_per_sm // (-(-shared // 128) * 128 + 1024)
    blocks = min(gpu.threads_per_sm // (warps * 32), gpu.blocks_per_sm, by_registers, by_shared)
    return blocks * warps * 32 / gpu.threads_per_sm
