// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_reduce(). There are two ways, which give the same bits, and either goes on where
// the other ended.
//
// The module combines the elements straight out of the peers' memory, as far as it comes
// (CMA_IOC_REDUCE). It says neither why it ended nor does it wait: the next block goes
// the other way.
//
// Or block by block, each peer's part of a block is copied to the stack by the calls of
// cma.h, whatever way they take, and reduced from there. A block is small enough to stay
// in the processor's cache meanwhile. What is so far of a block lies on the stack, too,
// and goes to its place with the last peer, once it is known how much of the block all
// peers have: each result is written once, or not at all.
//
// There is no reading over a mapping of the peer (cma_map()): where the peer's memory is
// gone, that is SIGBUS, which a library cannot catch without asking.
#include "context.hpp"
#include "reduce_loops.hpp"
#include "segments.hpp"
#include <algorithm>
#include <climits>
#include <cma_reduce.h>

namespace cma {
namespace {

constexpr size_t block_bytes = 32 << 10;
constexpr size_t small_bytes = 4 << 10;
// Where the module's way is not the shorter one yet.
constexpr size_t module_least = 4 << 10;
// Blocks that go the other way after it did not come on.
constexpr unsigned int module_pause = 3;

static_assert(CMA_OP_SUM == CMA_REDUCE_SUM && CMA_OP_BXOR == CMA_REDUCE_BXOR &&
              CMA_TYPE_INT8 == CMA_REDUCE_INT8 && CMA_TYPE_DOUBLE == CMA_REDUCE_DOUBLE);

// The module's numbers end before the library's do. Of its own, it says itself which it
// computes.
bool module_knows(const cma_reduction &reduction)
{
  return reduction.op <= CMA_REDUCE_BXOR && reduction.type <= CMA_REDUCE_DOUBLE;
}

struct Block {
  alignas(64) char bytes[block_bytes];
};

// Whether the list's first bytes are so many, in segments of whole elements, whose size
// is a power of two.
bool holds(Segments segments, size_t bytes, size_t element)
{
  for (size_t i = 0; bytes > 0; i++) {
    if (i == segments.count)
      return false;
    const size_t length = segments.list[i].iov_len;
    if ((length & (element - 1)) != 0)
      return false;
    if (length >= bytes)
      return true;
    bytes -= length;
  }
  return true;
}

Segments local_of(const cma_reduction &reduction)
{
  return {reduction.local, reduction.local_count};
}

Segments out_of(const cma_reduction &reduction)
{
  return reduction.out == nullptr ? local_of(reduction)
                                  : Segments{reduction.out, reduction.out_count};
}

Segments remote_of(const cma_operand &operand)
{
  return {operand.remote, operand.remote_count};
}

// Returns 0, or what is wrong.
int check(const cma_reduction &reduction, size_t element)
{
  if (element == 0 || reduction.op < CMA_OP_SUM || reduction.op > CMA_OP_LXOR ||
      (reduction.flags & ~CMA_STRICT) != 0 || reduction.first > reduction.count ||
      reduction.count > SSIZE_MAX / element || reduction.operand_count == 0 ||
      reduction.operand_count > CMA_MAX_OPERANDS)
    return -EINVAL;

  const size_t bytes = reduction.count * element;
  if (!holds(local_of(reduction), bytes, element) ||
      (reduction.out != nullptr && !holds(out_of(reduction), bytes, element)))
    return -EINVAL;
  for (size_t i = 0; i < reduction.operand_count; i++)
    if (!holds(remote_of(reduction.operands[i]), bytes, element))
      return -EINVAL;
  return 0;
}

// For many segments, which take much of the stack, and flags.
[[gnu::noinline]] ssize_t read_pieces(const cma_context *context, cma_peer peer,
                                      const Walk &remote, Block &to, size_t bytes,
                                      unsigned int flags)
{
  const Walk::Piece piece(remote, bytes);
  const iovec local = {to.bytes, piece.bytes()};
  return cma_readv(context, peer, &local, 1, piece.list(), piece.count(), flags);
}

class Reducer {
public:
  Reducer(const cma_context *context, cma_reduction &reduction, Loop loop, size_t element)
      : context_(context), reduction_(reduction), loop_(loop), element_(element),
        local_(local_of(reduction)), out_(out_of(reduction)),
        by_module_(context->backend == CMA_BACKEND_DEVICE &&
                   context->device.takes_reductions() && module_knows(reduction))
  {
    for (size_t i = 0; i < reduction.operand_count; i++)
      remote_[i] = Walk(remote_of(reduction.operands[i]));
    skip(reduction.first * element_);
  }

  ssize_t run()
  {
    const size_t wanted = reduction_.count - reduction_.first;
    size_t done = 0;
    ssize_t reduced = 0;
    while (done < wanted && (reduced = reduce_some(wanted - done)) > 0) {
      done += static_cast<size_t>(reduced);
      skip(static_cast<size_t>(reduced) * element_);
    }
    return done > 0 ? static_cast<ssize_t>(done) : reduced;
  }

private:
  // Returns how many of the next elements were reduced, at most so many. If none: an
  // error.
  ssize_t reduce_some(size_t count)
  {
    if (by_module_ && pause_ == 0) {
      if (const size_t bytes = reduce_by_module(count * element_); bytes > 0)
        return static_cast<ssize_t>(bytes / element_);
      pause_ = module_pause;
    } else if (pause_ > 0) {
      pause_--;
    }
    return reduce_block(count);
  }

  // Returns bytes of results, of at most so many.
  size_t reduce_by_module(size_t bytes)
  {
    bytes = in_one_piece(bytes);
    if (bytes < module_least)
      return 0;
    const size_t operands = reduction_.operand_count;
    if (operands > CMA_REDUCE_OPERANDS)
      bytes = std::min(bytes, block_bytes);
    for (size_t i = 0; i < operands && bytes > 0; i += CMA_REDUCE_OPERANDS)
      bytes =
          reduce_operands(i, std::min<size_t>(operands - i, CMA_REDUCE_OPERANDS), bytes);
    return bytes;
  }

  // Of the bytes that come next, those that no list cuts.
  size_t in_one_piece(size_t bytes) const
  {
    bytes = std::min({bytes, local_.front().iov_len, out_.front().iov_len});
    for (size_t i = 0; i < reduction_.operand_count; i++)
      bytes = std::min(bytes, remote_[i].front().iov_len);
    return bytes;
  }

  // What is so far of the next bytes with these operands. Returns for how many of them.
  size_t reduce_operands(size_t first, size_t count, size_t bytes)
  {
    const bool last = first + count == reduction_.operand_count;
    cma_ioc_reduce request = {};
    request.size = sizeof(request);
    request.flags = reduction_.flags != 0 ? CMA_COPY_STRICT : CMA_COPY_KNOWN;
    request.op = reduction_.op;
    request.type = reduction_.type;
    request.local = to_u64(first == 0 ? local_.front().iov_base : so_far_.bytes);
    request.out = to_u64(last ? out_.front().iov_base : so_far_.bytes);
    request.length = bytes;
    request.operand_cnt = static_cast<std::uint32_t>(count);
    for (size_t i = 0; i < count; i++) {
      const cma_peer peer = reduction_.operands[first + i].peer;
      request.operand[i] = {peer.type, peer.id,
                            to_u64(remote_[first + i].front().iov_base)};
    }
    const ssize_t reduced = context_->device.reduce(request);
    if (reduced == -EOPNOTSUPP)
      by_module_ = false;
    return reduced > 0 ? static_cast<size_t>(reduced) : 0;
  }

  ssize_t reduce_block(size_t count)
  {
    count = std::min(count, block_bytes / element_);
    const iovec so_far = {so_far_.bytes, block_bytes};
    const Walk between({&so_far, 1});
    const size_t last = reduction_.operand_count - 1;
    for (size_t i = 0; i <= last; i++) {
      const ssize_t read = read_operand(i, count * element_);
      if (read < static_cast<ssize_t>(element_))
        return stopped_by(i, read);
      count = static_cast<size_t>(read) / element_;
      apply(i == last ? out_ : between, i == 0 ? local_ : between, count);
    }
    return static_cast<ssize_t>(count);
  }

  ssize_t read_operand(size_t i, size_t bytes)
  {
    const cma_peer peer = reduction_.operands[i].peer;
    const iovec front = remote_[i].front();
    if (front.iov_len >= bytes && reduction_.flags == 0)
      return cma_read(context_, peer, operand_.bytes,
                      reinterpret_cast<uintptr_t>(front.iov_base), bytes);
    return read_pieces(context_, peer, remote_[i], operand_, bytes, reduction_.flags);
  }

  // As long as both sides go on in one piece.
  void apply(Walk into, Walk left, size_t count)
  {
    const char *right = operand_.bytes;
    for (size_t bytes = count * element_; bytes > 0;) {
      const iovec to = into.front();
      const iovec from = left.front();
      const size_t length = std::min({bytes, to.iov_len, from.iov_len});
      loop_(to.iov_base, from.iov_base, right, length / element_);
      into.skip(length);
      left.skip(length);
      right += length;
      bytes -= length;
    }
  }

  // The stack is there: what is short, the peer has not.
  ssize_t stopped_by(size_t i, ssize_t read)
  {
    reduction_.fault_operand = i;
    if (read < 0 && read != -EFAULT)
      return read;
    reduction_.fault_side = CMA_SIDE_REMOTE;
    reduction_.fault_addr = reinterpret_cast<uintptr_t>(remote_[i].front().iov_base) +
                            static_cast<size_t>(std::max<ssize_t>(read, 0));
    return -EFAULT;
  }

  void skip(size_t bytes)
  {
    local_.skip(bytes);
    out_.skip(bytes);
    for (size_t i = 0; i < reduction_.operand_count; i++)
      remote_[i].skip(bytes);
  }

  const cma_context *context_;
  cma_reduction &reduction_;
  const Loop loop_;
  const size_t element_;
  Walk local_, out_;
  Walk remote_[CMA_MAX_OPERANDS];
  bool by_module_;
  unsigned int pause_ = 0;
  Block operand_; // what was read of a peer
  Block so_far_;  // the results of the peers before, unless there is one alone
};

// Not in the way of what takes less of the stack.
[[gnu::noinline]] ssize_t reduce(const cma_context *context, cma_reduction &reduction,
                                 Loop loop, size_t element)
{
  return Reducer(context, reduction, loop, element).run();
}

// One peer, one segment of each list and little to do, and nothing wrong with it: to ask
// in general would cost more than that.
bool is_small(const cma_reduction &reduction, size_t element)
{
  const size_t bytes = reduction.count * element;
  const auto fits = [=](const iovec &segment) {
    return segment.iov_len >= bytes && (segment.iov_len & (element - 1)) == 0;
  };
  return reduction.count - 1 < small_bytes && bytes <= small_bytes &&
         reduction.first == 0 && reduction.flags == 0 && reduction.operand_count == 1 &&
         reduction.local_count == 1 && reduction.operands->remote_count == 1 &&
         fits(*reduction.local) && fits(*reduction.operands->remote) &&
         (reduction.out == nullptr || (reduction.out_count == 1 && fits(*reduction.out)));
}

// Whether that did; else nothing was done yet, and why is for the general way to tell.
bool reduce_small(const cma_context *context, const cma_reduction &reduction, Loop loop,
                  size_t bytes)
{
  alignas(64) char operand[small_bytes];
  const cma_operand &peer = *reduction.operands;
  const ssize_t read =
      cma_read(context, peer.peer, operand,
               reinterpret_cast<uintptr_t>(peer.remote->iov_base), bytes);
  if (read != static_cast<ssize_t>(bytes))
    return false;
  const iovec *const out = reduction.out == nullptr ? reduction.local : reduction.out;
  loop(out->iov_base, reduction.local->iov_base, operand, reduction.count);
  return true;
}

} // namespace
} // namespace cma

extern "C" ssize_t cma_reduce(const struct cma_context *context,
                              struct cma_reduction *reduction)
{
  reduction->fault_side = CMA_SIDE_NONE;
  reduction->fault_operand = reduction->operand_count;
  reduction->fault_addr = 0;
  const size_t element = cma::size_of_type(reduction->type);
  const cma::Loop loop = cma::find_best_loop(reduction->op, reduction->type);
  if (context != nullptr && loop != nullptr && cma::is_small(*reduction, element) &&
      cma::reduce_small(context, *reduction, loop, reduction->count * element))
    return static_cast<ssize_t>(reduction->count);
  if (cma_backend(context) == CMA_BACKEND_NONE)
    return -ESTALE;
  if (const int error = cma::check(*reduction, element); error < 0)
    return error;
  if (loop == nullptr)
    return -EOPNOTSUPP;
  return reduction->first == reduction->count
             ? 0
             : cma::reduce(context, *reduction, loop, element);
}
