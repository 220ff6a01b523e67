// SPDX-License-Identifier: MIT OR BSD-2-Clause
// What an author does: see owner.hpp. Each change leaves the pages showing words.
#include "owner.hpp"
#include "../device/support/peer.hpp"
#include "system.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace cma_test {
namespace {

const size_t pages_per_chunk = huge_page / page;

std::vector<State> states_of(Oracle &oracle, const Claim &claim)
{
  std::vector<State> states;
  for (size_t i = 0; i < claim.count(); i++)
    states.push_back(oracle.page(claim.first() + i).current());
  return states;
}

/// Announces what each page showed before, or something else.
void begin_each(Oracle &oracle, const Claim &claim, const std::vector<State> &before,
                State other = {})
{
  for (size_t i = 0; i < claim.count(); i++)
    oracle.page(claim.first() + i).begin(before.at(i) | other);
}

void map_field(const Field &field, size_t first, size_t count)
{
  const bool file = field.file >= 0;
  void *place = field.at(first);
  require(mmap(place, count * page, PROT_READ | PROT_WRITE,
               MAP_FIXED | (file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS), field.file,
               file ? static_cast<off_t>(first * page) : 0) == place,
          "mmap of a field");
}

/// A window over the field, for everybody; it lives as long as the process.
uint64_t expose(const Field &field)
{
  static const Device device;
  auto window = sized<cma_ioc_window_create>();
  window.base = Field::base;
  window.length = field.bytes();
  window.access = CMA_ACCESS_READ | CMA_ACCESS_WRITE;
  window.mode = 0666;
  require(device.call(CMA_IOC_WINDOW_CREATE, &window).error == 0, "a window");
  return window.window;
}

} // namespace

Op Ops::pick(Random &random) const
{
  while (true) {
    const Op op = static_cast<Op>(random.below(static_cast<size_t>(Op::Kinds)));
    if (has(op))
      return op;
  }
}

Field make_field(Kind kind, size_t pages)
{
  Field field;
  field.pages = pages;
  if (kind == Kind::Memfd) {
    field.file = memfd_create("cma-field", MFD_CLOEXEC);
    require(field.file >= 0 &&
                ftruncate(field.file, static_cast<off_t>(field.bytes())) == 0,
            "a file for the field");
  }
  return field;
}

void settle_field(Oracle &oracle, const Field &field)
{
  map_field(field, 0, field.pages);
  const uint32_t generation = oracle.new_generation();
  for (size_t i = 0; i < field.pages; i++) {
    const State state = State::words(generation, i);
    for (size_t word = 0; word < words_per_page; word++)
      field.at(i)[word] = state.first_word() + word;
    oracle.page(i).begin(state);
    oracle.page(i).end();
  }
  oracle.window = expose(field);
}

Owner::Owner(Oracle &oracle, const Field &field, uint64_t seed)
    : oracle_(oracle), field_(field), random_(seed),
      snapshot_(pages_per_plot * words_per_page),
      collapsed_(vm_event("thp_collapse_alloc"))
{
}

/// A page, a few, many, or a whole chunk, of which the kernel moves tables at once.
Owner::Run Owner::choose()
{
  if (random_.percent(8))
    return choose_chunk();
  const size_t most = random_.percent(60) ? 8 : 64;
  const size_t count = random_.between(1, most);
  return {random_.below(field_.pages - count), count};
}

Owner::Run Owner::choose_chunk()
{
  return {random_.below(field_.pages / pages_per_chunk) * pages_per_chunk,
          pages_per_chunk};
}

void Owner::pause(unsigned most_us)
{
  usleep(static_cast<useconds_t>(random_.below(most_us + 1)));
}

char *Owner::memory(const Claim &claim) const
{
  return reinterpret_cast<char *>(field_.at(claim.first()));
}

void Owner::author(Ops ops, unsigned pause_us)
{
  while (oracle_.running()) {
    pause(pause_us);
    const Op op = ops.empty() || random_.percent(40) ? Op::Write : ops.pick(random_);
    Run run = choose();
    if (op == Op::Truncate)
      run.count = field_.pages - run.first;
    Claim claim(oracle_, run.first, run.count);
    if (!claim)
      continue;
    perform(op, claim);
    if (op != Op::Remap) // which counts for itself
      oracle_.did(op);
  }
}

void Owner::perform(Op op, Claim &claim)
{
  switch (op) {
  case Op::Unmap:
    return unmap_some(claim);
  case Op::Remap:
    return remap(claim);
  case Op::Forbid:
    return forbid(claim);
  case Op::Shield:
    return shield(claim);
  case Op::DontNeed:
    return dont_need(claim);
  case Op::Free:
    return free_lazily(claim);
  case Op::Truncate:
    return truncate(claim);
  case Op::Punch:
    return punch(claim);
  default:
    return write(claim);
  }
}

void Owner::write(Claim &claim)
{
  const uint32_t generation = oracle_.new_generation();
  const State uniform = State::words(generation, 0);
  if (field_.uniform)
    claim.begin(uniform);
  else
    claim.begin_words(generation);
  for (size_t i = claim.first(); i < claim.first() + claim.count(); i++) {
    const uint64_t first =
        field_.uniform ? uniform.first_word() : State::words(generation, i).first_word();
    for (size_t word = 0; word < words_per_page; word++)
      field_.at(i)[word] = first + word;
  }
  claim.end();
}

/// Into a hole. A file still shows what it held.
void Owner::map_again(Claim &claim, const std::vector<State> &before)
{
  if (field_.file >= 0)
    begin_each(oracle_, claim, before, State::hole());
  else
    claim.begin(State::zeros() | State::hole());
  map_field(field_, claim.first(), claim.count());
  if (field_.file >= 0)
    begin_each(oracle_, claim, before);
  else
    claim.begin(State::zeros());
  claim.end();
  write(claim);
}

void Owner::unmap_some(Claim &claim)
{
  const auto before = states_of(oracle_, claim);
  begin_each(oracle_, claim, before, State::hole());
  munmap(memory(claim), claim.count() * page);
  claim.settle(State::hole());
  if (random_.percent(50))
    pause(2000);
  map_again(claim, before);
}

/// False if the range is more than one mapping, which mremap(2) does not move.
bool Owner::move(Claim &claim, Claim &target)
{
  const auto moved = states_of(oracle_, claim);
  auto leaving = moved;
  for (State &state : leaving)
    state = state.leaving();
  const size_t bytes = claim.count() * page;
  begin_each(oracle_, claim, leaving, State::hole());
  begin_each(oracle_, target, moved, State::hole());
  const bool done = mremap(memory(claim), bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                           memory(target)) != MAP_FAILED;
  Claim &full = done ? target : claim;
  begin_each(oracle_, full, moved);
  full.end();
  (done ? claim : target).settle(State::hole());
  return done;
}

void Owner::remap(Claim &claim)
{
  Claim target(oracle_, random_.below(field_.pages - claim.count() + 1), claim.count());
  if (!target)
    return;
  const auto lost = states_of(oracle_, target);
  begin_each(oracle_, target, lost, State::hole());
  munmap(memory(target), target.count() * page);
  target.settle(State::hole());
  // What is mapped anew is one mapping, until a mover advises about a part of it.
  bool moved = move(claim, target);
  for (int tries = 0; !moved && tries < 5; tries++) {
    unmap_some(claim);
    moved = move(claim, target);
  }
  if (!moved)
    return map_again(target, lost);
  oracle_.did(Op::Remap);
  pause(1000);
  map_again(claim, states_of(oracle_, claim));
}

void Owner::forbid(Claim &claim)
{
  const auto before = states_of(oracle_, claim);
  begin_each(oracle_, claim, before, State::hole());
  protect(reinterpret_cast<uintptr_t>(memory(claim)), claim.count() * page, PROT_NONE);
  claim.settle(State::hole());
  pause(2000);
  begin_each(oracle_, claim, before, State::hole());
  protect(reinterpret_cast<uintptr_t>(memory(claim)), claim.count() * page,
          PROT_READ | PROT_WRITE);
  begin_each(oracle_, claim, before);
  claim.end();
}

void Owner::shield(Claim &claim)
{
  protect(reinterpret_cast<uintptr_t>(memory(claim)), claim.count() * page, PROT_READ);
  pause(1000);
  protect(reinterpret_cast<uintptr_t>(memory(claim)), claim.count() * page,
          PROT_READ | PROT_WRITE);
  write(claim);
}

void Owner::dont_need(Claim &claim)
{
  if (field_.file < 0)
    begin_each(oracle_, claim, states_of(oracle_, claim), State::zeros());
  madvise(memory(claim), claim.count() * page, MADV_DONTNEED);
  if (field_.file < 0)
    claim.settle(State::zeros());
  if (random_.percent(50))
    pause(1000);
  write(claim);
}

/// From then on, and until somebody writes, the kernel may take a page's contents.
void Owner::free_lazily(Claim &claim)
{
  begin_each(oracle_, claim, states_of(oracle_, claim), State::zeros());
  madvise(memory(claim), claim.count() * page, MADV_FREE);
  claim.end();
  if (random_.percent(50))
    madvise(memory(claim), claim.count() * page, MADV_PAGEOUT);
  if (random_.percent(50))
    write(claim);
}

void Owner::truncate(Claim &claim)
{
  begin_each(oracle_, claim, states_of(oracle_, claim), State::hole());
  require(ftruncate(field_.file, static_cast<off_t>(claim.first() * page)) == 0,
          "truncation");
  claim.settle(State::hole());
  pause(2000);
  claim.begin(State::hole() | State::zeros());
  require(ftruncate(field_.file, static_cast<off_t>(field_.bytes())) == 0,
          "growth of a file");
  claim.settle(State::zeros());
  write(claim);
}

void Owner::punch(Claim &claim)
{
  begin_each(oracle_, claim, states_of(oracle_, claim), State::zeros());
  require(fallocate(field_.file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(claim.first() * page),
                    static_cast<off_t>(claim.count() * page)) == 0,
          "punching of a hole");
  claim.settle(State::zeros());
  write(claim);
}

} // namespace cma_test
