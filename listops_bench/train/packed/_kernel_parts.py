"""What the forward and the backward kernel have in common; the names of shapes are those of `_kernels`."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def parts_of(x, PRECISION: tl.constexpr):
    """What stands for x in products: two half-precision numbers, high + low / 2048, with 22 bits and more of its 24; or
    one number of less precision."""
    if PRECISION == "float32":
        high = x.to(tl.float16)
        low = ((x - high.to(tl.float32)) * 2048.0).to(tl.float16)
    elif PRECISION == "bf16":
        high = x.to(tl.bfloat16)
        low = high
    else:
        high, low = x, x
    return high, low


@triton.jit
def transpose_parts(x):
    """Parts, transposed."""
    return tl.trans(x[0]), tl.trans(x[1])


@triton.jit
def product(a, b, PRECISION: tl.constexpr):
    """a b, of parts, in float32: what is left out is less than its rounding. The small terms come first."""
    if PRECISION == "float32":
        c = tl.dot(a[1], b[0])
        c = tl.dot(a[0], b[1], c)
        c = tl.dot(a[0], b[0], c * (1.0 / 2048.0))
    else:
        c = tl.dot(a[0], b[0], input_precision="tf32")
    return c


@triton.jit
def load_matrix(at, rows, rows_ok, columns, columns_ok, STRIDE: tl.constexpr):
    """Some rows and columns of a matrix in memory."""
    ok = rows_ok[:, None] & columns_ok[None, :]
    return tl.load(at + rows[:, None] * STRIDE + columns[None, :], mask=ok, other=0.0)


@triton.jit
def load_weight(at, rows, rows_ok, columns, columns_ok, STRIDE: tl.constexpr, PRECISION: tl.constexpr):
    """Parts of a matrix in memory."""
    return parts_of(load_matrix(at, rows, rows_ok, columns, columns_ok, STRIDE), PRECISION)


@triton.jit
def normalise(x, d_ok, D: tl.constexpr, EPSILON: tl.constexpr):
    """(x - mean) / sigma, and 1 / sigma."""
    mean = tl.sum(x, 1) / D
    centred = tl.where(d_ok[None, :], x - mean[:, None], 0.0)
    inverse = tl.math.rsqrt(tl.sum(centred * centred, 1) / D + EPSILON)
    return centred * inverse[:, None], inverse


@triton.jit
def layer_norm(at, x, d, d_ok, D: tl.constexpr, EPSILON: tl.constexpr):
    """The layer norm whose weight and bias lie at ``at``."""
    n, _ = normalise(x, d_ok, D, EPSILON)
    w, b = tl.load(at + d, mask=d_ok, other=0.0), tl.load(at + D + d, mask=d_ok, other=0.0)
    return n * w[None, :] + b[None, :]


@triton.jit
def normalise_backward(dn, n, inverse, D: tl.constexpr):
    """dx of n(x); dn is zero in the padding, dx is not."""
    along = tl.sum(dn * n, 1) / D
    return (dn - (tl.sum(dn, 1) / D)[:, None] - n * along[:, None]) * inverse[:, None]


@triton.jit
def activate(u, ACTIVATION: tl.constexpr):
    """act(u) and its derivative."""
    if ACTIVATION == "relu":
        value = tl.maximum(u, 0.0)
        slope = tl.where(u > 0.0, 1.0, 0.0)
    elif ACTIVATION == "gelu":
        # The normal distribution's tail as exp(-u^2 / 2) t f(t), t = 1 / (1 + 0.4 |u| / sqrt(2)), with f fitted to an
        # error of 3e-8: a third of the work of an error function, for the slope needs the exponential anyway.
        t = 1.0 / (1.0 + 0.28284271247461906 * tl.abs(u))
        e = tl.exp(-0.5 * u * u)
        f = 0.3545899158867766 - 0.10013344904399707 * t
        f = -0.18548136907086217 + t * f
        f = 0.2341601561469056 + t * f
        f = 0.08090219289609515 + t * f
        f = 0.1159626393183827 + t * f
        tail = e * t * f
        below = tl.where(u > 0.0, 1.0 - tail, tail)
        value = u * below
        slope = below + u * e * 0.3989422804014327
    else:  # GELU's form with a hyperbolic tangent; (1 + tanh z) / 2 = sigmoid(2 z)
        below = tl.sigmoid(1.5957691216057308 * (u + 0.044715 * u * u * u))
        value = u * below
        slope = below + value * (1.0 - below) * (1.5957691216057308 * (1.0 + 0.134145 * u * u))
    return value, slope


@triton.jit
def rotate(x, cos, sin, T: tl.constexpr, HALF: tl.constexpr):
    """Rotary positions: pairs (x[i], x[i + HALF]) turned by their angles; with -sin, turned back."""
    a, b = tl.split(tl.permute(tl.reshape(x, (T, 2, HALF)), (0, 2, 1)))
    turned = tl.join(a * cos - b * sin, a * sin + b * cos)
    return tl.reshape(tl.permute(turned, (0, 2, 1)), (T, 2 * HALF))


@triton.jit
def columns_of_head(C: tl.constexpr, TC: tl.constexpr, ROTARY: tl.constexpr):
    """Which column of a head lies in each padded place, and whether one does: rotary halves are padded separately."""
    place = tl.arange(0, TC)
    if ROTARY:
        half = place // (TC // 2)
        inside = place - half * (TC // 2)
        return half * (C // 2) + inside, inside < C // 2
    return place, place < C


@triton.jit
def load_angles(table, position, C: tl.constexpr, TC: tl.constexpr):
    """[T, TC/2] of a table [positions, C/2] of cosines or sines."""
    i = tl.arange(0, TC // 2)
    return tl.load(table + position[:, None] * (C // 2) + i[None, :], mask=(i < C // 2)[None, :], other=0.0)


@triton.jit
def probabilities_of(q, k, t, row, SCALE: tl.constexpr, PRECISION: tl.constexpr):
    """Attention to earlier places of the own row, [T, T]; q and k are parts."""
    scores = product(q, transpose_parts(k), PRECISION) * SCALE
    scores = tl.where((row[:, None] == row[None, :]) & (t[:, None] >= t[None, :]), scores, float("-inf"))
    e = tl.exp(scores - tl.max(scores, 1)[:, None])
    return e / tl.sum(e, 1)[:, None]


@triton.jit
def load_place(source, used, k, tile, S, T: tl.constexpr):
    """Of the places of a tile: their numbers, which hold a token, and where among a member's tokens it lies."""
    t = tl.arange(0, T)
    filled = t < tl.load(used + k * (S // T) + tile)
    return t, filled, tl.load(source + k * S + tile * T + t, mask=filled, other=0)
