"""Triton kernels of one training step of K looped decoders; `_fused` launches them and says what they compute.

A *tile* is T places that hold whole rows of one member, so that all of a forward or backward pass of a tile can be done
by one program that keeps what it works on on the chip; between the two passes only what goes into each half block, and
what the heads made, is kept in memory. A program of the backward pass takes every G-th tile of its member and adds each
tile's gradient to a partial sum of its own, in a fixed order; `reduce_kernel` adds the G sums in a fixed order as well.
So no result depends on which program comes first, and a step that is repeated gives the same bits.

Half blocks, for x [T, D] and the weights of one member; n(x) is x normalised, norm(x) = n(x) w + b a layer norm:

    attention      h = norm(x)   q, k, v = h Wq', h Wk', h Wv'   P = softmax(q k' / sqrt(C))   A = P v
                                 y = x + A Wo'
    feed-forward   h = norm(x)   u = h Wu' + bu   y = x + act(u) Wd' + bd

and backward, where dz is the loss's derivative by z (what was not kept is computed again):

    product        y = a W'        da = dy W      dW = dy' a
    layer norm     h = n w + b     dn = dh w      dw = sum dh n   db = sum dh
                                                 dx = (dn - mean(dn) - n mean(dn n)) / sigma
    softmax        P = softmax(S)  dS = P (dP - sum(dP P)), and sum(dP P) = sum(dA A)
    attention      A = P v         dP = dA v'     dv = P' dA     dq = dS k / sqrt(C)     dk = dS' q / sqrt(C)
    cross entropy                  dlogits = (softmax(logits) - one_hot(target)) scale

Products are made of half-precision ones, see `_kernel_parts.parts_of`. Small derivatives would leave half precision's
range: those of each tile are in a unit of their own, a power of two, which is multiplied in when they are added up.

Names: T places of a tile, D width, C columns of a head, U hidden units taken at once, V words; TD, TC, TV: such
a number padded to a power of two of at least 16, as products on the chip have it. Padding is loaded as zero everywhere.
"""

from __future__ import annotations

import triton
import triton.language as tl

from listops_bench.train.packed._kernel_parts import (
    activate,
    columns_of_head,
    layer_norm,
    load_angles,
    load_matrix,
    load_place,
    load_weight,
    normalise,
    normalise_backward,
    parts_of,
    probabilities_of,
    product,
    rotate,
    transpose_parts,
)

# --- rows into tiles --------------------------------------------------------------------------------------------------


@triton.jit
def place_kernel(starts, source, used, n_tiles, B, S, T: tl.constexpr, TILES: tl.constexpr):
    """Each row of a member goes to the fullest tile that has room for it (best fit); a program per member."""
    k = tl.program_id(0)
    starts += k * (B + 1)
    number = tl.arange(0, TILES)
    room = tl.full((TILES,), T, tl.int32)
    t = tl.arange(0, T)
    start = tl.load(starts)
    for r in range(B):
        stop = tl.load(starts + r + 1)
        length = stop - start
        best = tl.min(tl.where(room >= length, room * TILES + number, (T + 1) * TILES))
        tile, left = best % TILES, best // TILES
        tl.store(source + k * S + tile * T + (T - left) + t, start + t, mask=t < length)
        room = tl.where(number == tile, room - length, room)
        start = stop
    tl.store(used + k * (S // T) + number, T - room, mask=number < S // T)
    tl.store(n_tiles + k, tl.sum((room < T).to(tl.int32)))


# --- the forward pass -------------------------------------------------------------------------------------------------


@triton.jit
def forward_kernel(  # noqa: PLR0915
    weights, ids, positions, targets, scale, cos, sin, source, used, n_tiles, saved, losses, N, S, P,
    EMBEDDING: tl.constexpr, PLACES: tl.constexpr, NORM1: tl.constexpr, QKV: tl.constexpr, OUT: tl.constexpr,
    NORM2: tl.constexpr, UP: tl.constexpr, UP_BIAS: tl.constexpr, DOWN: tl.constexpr, DOWN_BIAS: tl.constexpr,
    NORM: tl.constexpr,
    POSITIONS: tl.constexpr, V: tl.constexpr, TV: tl.constexpr, D: tl.constexpr, TD: tl.constexpr, HEADS: tl.constexpr,
    C: tl.constexpr, TC: tl.constexpr, HIDDEN: tl.constexpr, U: tl.constexpr, LOOPS: tl.constexpr,
    T: tl.constexpr, ACTIVATION: tl.constexpr, ROTARY: tl.constexpr, EPSILON: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Losses [K, tiles] of all tiles, and ``saved`` [3 * LOOPS + 1, K, S, D]: of each loop, what goes into the
    attention half, what the heads made of it, and what goes into the feed-forward half; last, what comes out."""
    tile, k = tl.program_id(0), tl.program_id(1)
    if tile >= tl.load(n_tiles + k):
        return
    weights += k.to(tl.int64) * P
    t, filled, token = load_place(source, used, k, tile, S, T)
    d = tl.arange(0, TD)
    d_ok = d < D
    c, c_ok = columns_of_head(C, TC, ROTARY)
    every = t < T
    token += k * N
    word = tl.load(ids + token, mask=filled, other=0).to(tl.int32)
    position = tl.load(positions + token, mask=filled, other=0).to(tl.int32)
    row = t - position
    x = load_matrix(weights + EMBEDDING, word, every, d, d_ok, D)
    if ROTARY:
        turn_cos, turn_sin = load_angles(cos, position, C, TC), load_angles(sin, position, C, TC)
    else:
        x += load_matrix(weights + PLACES, position, every, d, d_ok, D)
    here = (tile * T + t)[:, None] * D + d[None, :]
    saved += k.to(tl.int64) * S * D
    layer = tl.num_programs(1).to(tl.int64) * S * D
    for _ in range(LOOPS):
        tl.store(saved + here, x, mask=d_ok[None, :])
        h = parts_of(layer_norm(weights + NORM1, x, d, d_ok, D, EPSILON), PRECISION)
        for head in range(HEADS):
            at = weights + QKV + head * C * D
            q = product(h, transpose_parts(load_weight(at, c, c_ok, d, d_ok, D, PRECISION)), PRECISION)
            key = product(h, transpose_parts(load_weight(at + D * D, c, c_ok, d, d_ok, D, PRECISION)), PRECISION)
            if ROTARY:
                q, key = rotate(q, turn_cos, turn_sin, T, TC // 2), rotate(key, turn_cos, turn_sin, T, TC // 2)
            p = probabilities_of(parts_of(q, PRECISION), parts_of(key, PRECISION), t, row, C**-0.5, PRECISION)
            v = product(h, transpose_parts(load_weight(at + 2 * D * D, c, c_ok, d, d_ok, D, PRECISION)), PRECISION)
            attended = product(parts_of(p, PRECISION), parts_of(v, PRECISION), PRECISION)
            own = (tile * T + t)[:, None] * D + (head * C + c)[None, :]
            tl.store(saved + layer + own, attended, mask=c_ok[None, :])
            attended = parts_of(attended, PRECISION)
            out = load_weight(weights + OUT + head * C, d, d_ok, c, c_ok, D, PRECISION)
            x += product(attended, transpose_parts(out), PRECISION)
        tl.store(saved + 2 * layer + here, x, mask=d_ok[None, :])
        saved += 3 * layer
        h = parts_of(layer_norm(weights + NORM2, x, d, d_ok, D, EPSILON), PRECISION)
        x += tl.load(weights + DOWN_BIAS + d, mask=d_ok, other=0.0)[None, :]
        for first in range(0, HIDDEN, U):
            unit = first + tl.arange(0, U)
            unit_ok = unit < HIDDEN
            u = product(h, transpose_parts(load_weight(weights + UP, unit, unit_ok, d, d_ok, D, PRECISION)), PRECISION)
            u += tl.load(weights + UP_BIAS + unit, mask=unit_ok, other=0.0)[None, :]
            a, _s = activate(u, ACTIVATION)
            down = load_weight(weights + DOWN, d, d_ok, unit, unit_ok, HIDDEN, PRECISION)
            x += product(parts_of(a, PRECISION), transpose_parts(down), PRECISION)
    tl.store(saved + here, x, mask=d_ok[None, :])
    h = parts_of(layer_norm(weights + NORM, x, d, d_ok, D, EPSILON), PRECISION)
    _e, total, logits, v_number, target = _output(
        weights, targets + token, h, filled, d, d_ok, EMBEDDING, V, TV, D, PRECISION
    )
    right = tl.sum(tl.where(v_number[None, :] == target[:, None], logits, 0.0), 1)
    loss = tl.sum(tl.where(target >= 0, tl.log(total) - right, 0.0), 0)
    tl.store(losses + k * (S // T) + tile, loss * tl.load(scale + k))


@triton.jit
def _output(
    weights, targets, h, filled, d, d_ok, OUTPUT: tl.constexpr, V: tl.constexpr, TV: tl.constexpr, D: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """e = exp(logits - their maximum) [T, TV], its sums [T], those shifted logits, the words' numbers, the targets."""
    v = tl.arange(0, TV)
    logits = product(h, transpose_parts(load_weight(weights + OUTPUT, v, v < V, d, d_ok, D, PRECISION)), PRECISION)
    logits = tl.where((v < V)[None, :], logits, float("-inf"))
    logits -= tl.max(logits, 1)[:, None]
    e = tl.exp(logits)
    target = tl.load(targets, mask=filled, other=-100).to(tl.int32)
    return e, tl.sum(e, 1), logits, v, target


# --- the backward pass ------------------------------------------------------------------------------------------------


@triton.jit
def _add_matrix(at, rows, rows_ok, columns, columns_ok, a, b, unit, STRIDE: tl.constexpr, PRECISION: tl.constexpr):
    """Adds unit * a' b, of parts, to a matrix in memory that no other program adds to. Being atomic only spares waiting
    for what is there; what one program adds arrives in its order."""
    ok = rows_ok[:, None] & columns_ok[None, :]
    at += rows[:, None] * STRIDE + columns[None, :]
    tl.atomic_add(at, unit * product(transpose_parts(a), b, PRECISION), mask=ok, sem="relaxed")


@triton.jit
def _add_row(at, columns, columns_ok, values, unit):
    """Adds unit times the sum over the places of [T, ...] to a vector in memory."""
    tl.atomic_add(at + columns, unit * tl.sum(values, 0), mask=columns_ok, sem="relaxed")


@triton.jit
def _norm_backward(at, gradient, x, dh, d, d_ok, unit, D: tl.constexpr, EPSILON: tl.constexpr):
    """dx of a layer norm whose weight and bias lie at ``at``; adds their gradients."""
    n, inverse = normalise(x, d_ok, D, EPSILON)
    _add_row(gradient, d, d_ok, dh * n, unit)
    _add_row(gradient + D, d, d_ok, dh, unit)
    w = tl.load(at + d, mask=d_ok, other=0.0)
    return tl.where(d_ok[None, :], normalise_backward(dh * w[None, :], n, inverse, D), 0.0)


@triton.jit
def backward_kernel(  # noqa: PLR0915
    weights, ids, positions, targets, scale, cos, sin, source, used, n_tiles, saved, partial, N, S, P,
    EMBEDDING: tl.constexpr, PLACES: tl.constexpr, NORM1: tl.constexpr, QKV: tl.constexpr, OUT: tl.constexpr,
    NORM2: tl.constexpr, UP: tl.constexpr, UP_BIAS: tl.constexpr, DOWN: tl.constexpr, DOWN_BIAS: tl.constexpr,
    NORM: tl.constexpr,
    POSITIONS: tl.constexpr, V: tl.constexpr, TV: tl.constexpr, D: tl.constexpr, TD: tl.constexpr, HEADS: tl.constexpr,
    C: tl.constexpr, TC: tl.constexpr, HIDDEN: tl.constexpr, U: tl.constexpr, LOOPS: tl.constexpr,
    T: tl.constexpr, ACTIVATION: tl.constexpr, ROTARY: tl.constexpr, EPSILON: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Gradients of the losses' sum: ``partial`` [G, K, P], a sum over every G-th tile of each member."""
    g, k = tl.program_id(0), tl.program_id(1)
    programs, members = tl.num_programs(0), tl.num_programs(1)
    weights += k.to(tl.int64) * P
    partial += (g.to(tl.int64) * members + k) * P
    d = tl.arange(0, TD)
    d_ok = d < D
    c, c_ok = columns_of_head(C, TC, ROTARY)
    layer = members.to(tl.int64) * S * D
    saved += k.to(tl.int64) * S * D
    for tile in range(g, tl.load(n_tiles + k), programs):
        t, filled, token = load_place(source, used, k, tile, S, T)
        token += k * N
        position = tl.load(positions + token, mask=filled, other=0).to(tl.int32)
        row = t - position
        if ROTARY:
            turn_cos, turn_sin = load_angles(cos, position, C, TC), load_angles(sin, position, C, TC)
        here = (tile * T + t)[:, None] * D + d[None, :]
        kept = saved + 3 * LOOPS * layer

        # Output layer. Derivatives are in units in which the largest of the tile's logits' is 4 to 8.
        x = tl.load(kept + here, mask=d_ok[None, :], other=0.0)
        h = parts_of(layer_norm(weights + NORM, x, d, d_ok, D, EPSILON), PRECISION)
        e, total, _l, v_number, target = _output(
            weights, targets + token, h, filled, d, d_ok, EMBEDDING, V, TV, D, PRECISION
        )
        right = tl.where(v_number[None, :] == target[:, None], 1.0, 0.0)
        dlogits = tl.where((target >= 0)[:, None], e / total[:, None] - right, 0.0)
        largest = tl.maximum(tl.max(tl.max(tl.abs(dlogits), 1), 0), 1e-30)
        unit = (largest.to(tl.int32, bitcast=True) & 0x7F800000).to(tl.float32, bitcast=True) * 0.25
        dlogits = parts_of(dlogits * (1.0 / unit), PRECISION)
        unit *= tl.load(scale + k)
        _add_matrix(partial + EMBEDDING, v_number, v_number < V, d, d_ok, dlogits, h, unit, D, PRECISION)
        table = load_weight(weights + EMBEDDING, v_number, v_number < V, d, d_ok, D, PRECISION)
        dh = product(dlogits, table, PRECISION)
        dx = _norm_backward(weights + NORM, partial + NORM, x, dh, d, d_ok, unit, D, EPSILON)

        for _ in range(LOOPS):
            # Feed-forward half.
            kept -= layer
            x = tl.load(kept + here, mask=d_ok[None, :], other=0.0)
            h = parts_of(layer_norm(weights + NORM2, x, d, d_ok, D, EPSILON), PRECISION)
            dy = parts_of(dx, PRECISION)
            _add_row(partial + DOWN_BIAS, d, d_ok, dx, unit)
            dh = tl.zeros((T, TD), tl.float32)
            for first in range(0, HIDDEN, U):
                j = first + tl.arange(0, U)
                j_ok = j < HIDDEN
                up = load_weight(weights + UP, j, j_ok, d, d_ok, D, PRECISION)
                u = product(h, transpose_parts(up), PRECISION)
                u += tl.load(weights + UP_BIAS + j, mask=j_ok, other=0.0)[None, :]
                a, slope = activate(u, ACTIVATION)
                _add_matrix(partial + DOWN, d, d_ok, j, j_ok, dy, parts_of(a, PRECISION), unit, HIDDEN, PRECISION)
                down = load_weight(weights + DOWN, d, d_ok, j, j_ok, HIDDEN, PRECISION)
                du = product(dy, down, PRECISION) * slope
                _add_row(partial + UP_BIAS, j, j_ok, du, unit)
                du = parts_of(du, PRECISION)
                _add_matrix(partial + UP, j, j_ok, d, d_ok, du, h, unit, D, PRECISION)
                dh += product(du, up, PRECISION)
            x = tl.load(kept + here, mask=d_ok[None, :], other=0.0)
            dx += _norm_backward(weights + NORM2, partial + NORM2, x, dh, d, d_ok, unit, D, EPSILON)

            # Attention half.
            kept -= 2 * layer
            x = tl.load(kept + here, mask=d_ok[None, :], other=0.0)
            h = parts_of(layer_norm(weights + NORM1, x, d, d_ok, D, EPSILON), PRECISION)
            dy = parts_of(dx, PRECISION)
            dh = tl.zeros((T, TD), tl.float32)
            for head in range(HEADS):
                at, to = weights + QKV + head * C * D, partial + QKV + head * C * D
                own = (tile * T + t)[:, None] * D + (head * C + c)[None, :]
                attended = tl.load(kept + layer + own, mask=c_ok[None, :], other=0.0)
                da = product(dy, load_weight(weights + OUT + head * C, d, d_ok, c, c_ok, D, PRECISION), PRECISION)
                along = tl.sum(da * attended, 1)  # = sum(dP P), for A = P v
                attended = parts_of(attended, PRECISION)
                _add_matrix(partial + OUT + head * C, d, d_ok, c, c_ok, dy, attended, unit, D, PRECISION)
                da = parts_of(da, PRECISION)
                v = product(h, transpose_parts(load_weight(at + 2 * D * D, c, c_ok, d, d_ok, D, PRECISION)), PRECISION)
                dp = product(da, transpose_parts(parts_of(v, PRECISION)), PRECISION)
                q = product(h, transpose_parts(load_weight(at, c, c_ok, d, d_ok, D, PRECISION)), PRECISION)
                key = product(h, transpose_parts(load_weight(at + D * D, c, c_ok, d, d_ok, D, PRECISION)), PRECISION)
                if ROTARY:
                    q, key = rotate(q, turn_cos, turn_sin, T, TC // 2), rotate(key, turn_cos, turn_sin, T, TC // 2)
                q, key = parts_of(q, PRECISION), parts_of(key, PRECISION)
                p = probabilities_of(q, key, t, row, C**-0.5, PRECISION)
                ds = parts_of(p * (dp - along[:, None]) * (C**-0.5), PRECISION)
                dv = parts_of(product(transpose_parts(parts_of(p, PRECISION)), da, PRECISION), PRECISION)
                _add_matrix(to + 2 * D * D, c, c_ok, d, d_ok, dv, h, unit, D, PRECISION)
                dh += product(dv, load_weight(at + 2 * D * D, c, c_ok, d, d_ok, D, PRECISION), PRECISION)
                dq = product(ds, key, PRECISION)
                if ROTARY:
                    dq = rotate(dq, turn_cos, -turn_sin, T, TC // 2)
                dq = parts_of(dq, PRECISION)
                _add_matrix(to, c, c_ok, d, d_ok, dq, h, unit, D, PRECISION)
                dh += product(dq, load_weight(at, c, c_ok, d, d_ok, D, PRECISION), PRECISION)
                dk = product(transpose_parts(ds), q, PRECISION)
                if ROTARY:
                    dk = rotate(dk, turn_cos, -turn_sin, T, TC // 2)
                dk = parts_of(dk, PRECISION)
                _add_matrix(to + D * D, c, c_ok, d, d_ok, dk, h, unit, D, PRECISION)
                dh += product(dk, load_weight(at + D * D, c, c_ok, d, d_ok, D, PRECISION), PRECISION)
            x = tl.load(kept + here, mask=d_ok[None, :], other=0.0)
            dx += _norm_backward(weights + NORM1, partial + NORM1, x, dh, d, d_ok, unit, D, EPSILON)

        # Embeddings: products with one-hot rows. A row has no position beyond the tile.
        word = tl.where(filled, tl.load(ids + token, mask=filled, other=0).to(tl.int32), -1)
        hot = parts_of(tl.where(word[:, None] == v_number[None, :], 1.0, 0.0), "float32")
        dx = parts_of(dx, "float32")
        _add_matrix(partial + EMBEDDING, v_number, v_number < V, d, d_ok, hot, dx, unit, D, "float32")
        if not ROTARY:
            hot = parts_of(tl.where((position[:, None] == t[None, :]) & filled[:, None], 1.0, 0.0), "float32")
            _add_matrix(partial + PLACES, t, t < POSITIONS, d, d_ok, hot, dx, unit, D, "float32")


# --- sums over programs, and the optimizer ----------------------------------------------------------------------------


@triton.jit
def reduce_kernel(partial, tile_losses, n_tiles, gradient, losses, K, P, G, TILES, BLOCK: tl.constexpr):
    """gradient [K, P] from the G partial sums of each member, and losses [K] from those of its tiles."""
    k = tl.program_id(1)
    tiles = tl.load(n_tiles + k)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for g in range(G):
        total += tl.load(partial + (tl.cast(g, tl.int64) * K + k) * P + at, mask=at < P, other=0.0)
    tl.store(gradient + k.to(tl.int64) * P + at, total, mask=at < P)
    if tl.program_id(0) == 0:
        number = tl.arange(0, BLOCK)
        loss = 0.0
        for first in range(0, tiles, BLOCK):
            here = tl.load(tile_losses + k * TILES + first + number, mask=first + number < tiles, other=0.0)
            loss += tl.sum(here, 0)
        tl.store(losses + k, loss)


@triton.jit
def squares_kernel(gradient, squares, P, BLOCK: tl.constexpr):
    """[K, blocks]: sums of squares of the gradient."""
    k = tl.program_id(1)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(gradient + k.to(tl.int64) * P + at, mask=at < P, other=0.0)
    tl.store(squares + k * tl.num_programs(0) + tl.program_id(0), tl.sum(x * x, 0))


@triton.jit
def update_kernel(
    weights, first_moments, second_moments, gradient, squares, norms, scalars, rest1, beta2, rest2, epsilon,
    max_norm, P, BLOCK: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """Clipping and AdamW as `_plain.update` has them; norms [K] are those before clipping.

    scalars: [K, 4], decay, step size, root of the second correction, and what is not used here.
    """
    k = tl.program_id(1)
    number = tl.arange(0, BLOCKS)
    parts = tl.load(squares + k * tl.num_programs(0) + number, mask=number < tl.num_programs(0), other=0.0)
    norm = tl.sqrt_rn(tl.sum(parts, 0))
    if tl.program_id(0) == 0:
        tl.store(norms + k, norm)
    decay, step_size, root = tl.load(scalars + k * 4), tl.load(scalars + k * 4 + 1), tl.load(scalars + k * 4 + 2)
    clip = tl.minimum(tl.load(max_norm + k) / (norm + 1e-6), 1.0, propagate_nan=tl.PropagateNan.ALL)
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = at < P
    at = at + k.to(tl.int64) * P
    g = tl.load(gradient + at, mask=ok, other=0.0) * clip
    m = tl.load(first_moments + at, mask=ok, other=0.0)
    m += tl.load(rest1 + k) * (g - m)
    v = tl.load(second_moments + at, mask=ok, other=0.0)
    v = v * tl.load(beta2 + k) + g * (g * tl.load(rest2 + k))
    size = tl.div_rn(tl.sqrt_rn(v), root) + tl.load(epsilon + k)
    w = tl.load(weights + at, mask=ok, other=0.0) * decay - tl.div_rn(m * step_size, size)
    tl.store(first_moments + at, m, mask=ok)
    tl.store(second_moments + at, v, mask=ok)
    tl.store(weights + at, w, mask=ok)
