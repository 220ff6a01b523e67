// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Copies and their judgement; see traffic.hpp.
#include "traffic.hpp"

#include <algorithm>
#include <sys/mman.h>
#include <unistd.h>

namespace cma_test {
namespace {

/// What no copy brings: a word that a copy left out shows it.
constexpr int untouched = 0xa5;

} // namespace

Buffer::Buffer(size_t bytes)
    : words_(static_cast<uint64_t *>(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))),
      bytes_(bytes)
{
  require(words_ != MAP_FAILED, "a buffer");
}

Buffer::~Buffer()
{
  munmap(words_, bytes_);
}

void Buffer::forget(size_t bytes) const
{
  madvise(words_, std::min(bytes, bytes_), MADV_DONTNEED);
}

std::vector<Way> device_mix(bool mapped)
{
  std::vector<Way> ways = {{Route::Handle}, {Route::Handle}, {Route::Pid},   {Route::Pid},
                           {Route::Pidfd},  {Route::Window}, {Route::Window}};
  ways.insert(ways.end(), {{Route::Handle, false, true}, {Route::Window, false, true}});
  if (mapped)
    ways.insert(ways.end(), {{Route::Handle, true},
                             {Route::Handle, true},
                             {Route::Window, true},
                             {Route::Window, true}});
  return ways;
}

const char *name_of(const Way &way)
{
  if (way.reduced)
    return way.route == Route::Window ? "reduction by window" : "reduction by handle";
  if (!way.mapped)
    return name_of(way.route);
  return way.route == Route::Window ? "mapping of the window" : "mapping by handle";
}

Target names_of(const Device &device, pid_t pid, const Fd &pidfd, uint64_t window)
{
  const Outcome handle = device.open(CMA_PEER_PID, pid);
  require(handle.error == 0, "CMA_IOC_OPEN");
  Target target = {pid, pidfd.get(), static_cast<int>(handle.result)};
  if (window == 0)
    return target;
  auto open = sized<cma_ioc_open>();
  open.peer_type = CMA_PEER_WINDOW;
  open.window = window;
  require(device.call(CMA_IOC_OPEN, &open).error == 0, "CMA_IOC_OPEN of a window");
  target.window = open.handle;
  return target;
}

Client::Client(Oracle &oracle, const Field &field, const Device &device,
               const Target &target, Views &views, uint64_t seed)
    : oracle_(oracle), field_(field), device_(device), target_(target), views_(views),
      random_(seed), buffer_(field.bytes())
{
}

void Client::read_on(const std::vector<Way> &ways)
{
  while (oracle_.running())
    read(ways.at(random_.below(ways.size())));
}

void Client::write_on(const std::vector<Way> &ways)
{
  while (oracle_.running()) {
    write(ways.at(random_.below(ways.size())));
    usleep(static_cast<useconds_t>(random_.below(500)));
  }
}

void Client::read(const Way &way)
{
  const size_t words = field_.pages * words_per_page;
  const unsigned die = static_cast<unsigned>(random_.below(100));
  if (die < 50) { // within a page
    const size_t first = random_.below(words);
    const size_t room = words_per_page - first % words_per_page;
    return read_words(way, first, random_.between(1, room));
  }
  size_t pages = field_.pages;
  if (die < 80)
    pages = random_.between(1, 16);
  else if (die < 98)
    pages = random_.between(16, 300);
  pages = std::min(pages, field_.pages);
  read_words(way, random_.below(field_.pages - pages + 1) * words_per_page,
             pages * words_per_page);
}

/// What is mapped has to be faulted in once more: some of it at every few reads.
void Client::change_views()
{
  if (!random_.percent(5))
    return;
  const int error = views_.change(random_);
  if (error != 0 && !oracle_.mortal)
    oracle_.found(Wrong::Error, "mapping anew: %s", strerrorname_np(error));
}

Outcome Client::move(const Way &way, bool write, size_t first, size_t count)
{
  if (way.reduced && !write)
    return reduce(way.route, first, count);
  if (!way.mapped)
    return copy(way.route, write, first, count);
  change_views();
  piece_ = sizeof(uint64_t);
  return views_.move(way.route, write, first, count, buffer_.words(), random_);
}

Outcome Client::copy(Route route, bool write, size_t first, size_t count)
{
  const size_t bytes = count * sizeof(uint64_t);
  const uintptr_t remote =
      (route == Route::Window ? 0 : Field::base) + first * sizeof(uint64_t);
  const auto pieces = [&](uintptr_t address) {
    const size_t most = count % 64 == 0 && random_.percent(30) ? 64 : 1;
    return cut(address, bytes, random_.percent(50) ? most : 1);
  };
  piece_ = bytes;
#ifdef CMA_COPY_SINGLE
  if (route != Route::Syscall && random_.percent(50)) {
    auto request = as_ioctl(route, target_, {write, nullptr, bytes, nullptr, bytes, 0});
    request.flags |= CMA_COPY_SINGLE;
    request.local_iov = buffer_.address();
    request.remote_iov = remote;
    return device_.copy(request);
  }
#endif
  const auto local = pieces(buffer_.address());
  const auto distant = pieces(remote);
  piece_ = bytes / distant.size();
  return run(device_, route, target_,
             {write, local.data(), local.size(), distant.data(), distant.size(), 0});
}

Outcome Client::reduce(Route route, size_t first, size_t count)
{
  const size_t bytes = count * sizeof(uint64_t);
  const uintptr_t remote =
      (route == Route::Window ? 0 : Field::base) + first * sizeof(uint64_t);
  if (random_.percent(80)) // else memory that is to be faulted in
    std::fill_n(buffer_.words(), count, 0);
  else
    buffer_.forget(bytes);
  piece_ = sizeof(uint64_t);
  auto request = sized<cma_ioc_reduce>();
  request.op = CMA_REDUCE_BOR;
  request.type = CMA_REDUCE_UINT64;
  request.local = request.out = buffer_.address();
  request.length = bytes;
  request.operand_cnt = 1;
  request.operand[0] = {CMA_PEER_HANDLE,
                        route == Route::Window ? target_.window : target_.handle, remote};
  const Outcome outcome = device_.call(CMA_IOC_REDUCE, &request);
  if (outcome.error != 0 && outcome.error != EAGAIN && outcome.error != EOPNOTSUPP)
    return outcome;
  const size_t reduced = outcome.error == 0 ? request.reduced : 0;
  oracle_.reduced += reduced / sizeof(uint64_t);
  if (reduced == bytes)
    return gives(static_cast<int64_t>(bytes));
  auto rest = as_ioctl(route, target_,
                       {false, nullptr, bytes - reduced, nullptr, bytes - reduced, 0});
  rest.flags |= CMA_COPY_SINGLE;
  rest.local_iov = buffer_.address() + reduced;
  rest.remote_iov = remote + reduced;
  const Outcome copied = device_.copy(rest);
  const int64_t more = copied.error == 0 ? copied.result : 0;
  return reduced == 0 ? copied : gives(static_cast<int64_t>(reduced) + more);
}

void Client::read_words(const Way &way, size_t first, size_t count)
{
  const size_t end_page = (first + count - 1) / words_per_page + 1;
  const size_t first_page = first / words_per_page;
  if (random_.percent(20))
    buffer_.forget(count * sizeof(uint64_t));
  else
    std::fill_n(reinterpret_cast<unsigned char *>(buffer_.words()),
                count * sizeof(uint64_t), untouched);
  std::vector<uint32_t> oldest;
  for (size_t i = first_page; i < end_page; i++)
    oldest.push_back(oracle_.page(i).oldest());

  const Outcome outcome = move(way, false, first, count);
  oracle_.copies++;
  const size_t copied =
      outcome.error == 0 ? static_cast<size_t>(outcome.result) / sizeof(uint64_t) : 0;
  if (way.mapped && copied < count)
    oracle_.missed++;
  if (!outcome_is_fit(way, outcome, first, count, oldest))
    return;
  for (size_t at = 0; at < copied;) {
    const size_t i = (first + at) / words_per_page;
    const size_t next = std::min((i + 1) * words_per_page - first, copied);
    judge_page(way, first, at, next, oldest.at(i - first_page));
    at = next;
  }
}

/// Whether the copy moved what it should, or met what may have stopped it.
bool Client::outcome_is_fit(const Way &way, const Outcome &outcome, size_t first,
                            size_t count, const std::vector<uint32_t> &oldest)
{
  const auto bytes = static_cast<int64_t>(count * sizeof(uint64_t));
  const bool gone =
      outcome.error == ESRCH || (way.route == Route::Window && outcome.error == EIDRM);
  if (outcome == gives(bytes) || (oracle_.mortal && gone) ||
      (oracle_.hungry && outcome.error == ENOMEM))
    return true;
  if (outcome.error != 0 && outcome.error != EFAULT) {
    oracle_.found(Wrong::Error, "%s of %ld bytes at page %zu: %s", name_of(way), bytes,
                  first / words_per_page, strerrorname_np(outcome.error));
    return false;
  }
  const size_t stop = first * sizeof(uint64_t) +
                      static_cast<size_t>(std::max<int64_t>(outcome.result, 0));
  // A hole begins with a page, but may come to be when a segment of the page is copied
  // already, or a word loaded. The owner's end is met wherever the copy looks for it,
  // which is also where the caller's memory had to be fetched.
  const bool boundary = outcome.error != 0 || oracle_.mortal || stop % page == 0 ||
                        static_cast<size_t>(outcome.result) % piece_ == 0;
  if (!boundary || outcome.result > bytes) {
    oracle_.found(Wrong::Count, "%s of %ld bytes at byte %zu: ended after %ld",
                  name_of(way), bytes, first * sizeof(uint64_t), outcome.result);
    return false;
  }
  const size_t i = stop / page;
  const Epochs epochs = oracle_.page(i).since(oldest.at(i - first / words_per_page));
  if (epochs.count > 0 && !oracle_.mortal && !oracle_.hungry &&
      !epochs.any([](State state) { return state.may_be_hole(); }))
    oracle_.found(Wrong::Count,
                  "%s of %ld bytes at page %zu: stopped at page %zu, no hole",
                  name_of(way), bytes, first / words_per_page, i);
  return true;
}

/// The words [begin, end) of a copy that began with the word first; all of one page.
void Client::judge_page(const Way &way, size_t first, size_t begin, size_t end,
                        uint32_t oldest)
{
  const size_t i = (first + begin) / words_per_page;
  const Epochs epochs = oracle_.page(i).since(oldest);
  if (epochs.count == 0) {
    oracle_.unjudged++;
    return;
  }
  oracle_.judged++;
  if (way.mapped)
    oracle_.loaded++;
  const size_t offset = (first + begin) % words_per_page;
  const uint64_t *words = buffer_.words() + begin;
  const State &only = epochs.states.front();
  bool fit = epochs.count == 1 && only.may_show_words();
  for (size_t k = 0; fit && k < end - begin; k++)
    fit = words[k] == only.first_word() + offset + k;
  if (!fit)
    judge_words(way, epochs, words, i, offset, offset + (end - begin));
}

void Client::judge_words(const Way &way, const Epochs &epochs, const uint64_t *words,
                         size_t page, size_t begin, size_t end)
{
  for (size_t k = begin; k < end; k++) {
    const uint64_t word = words[k - begin];
    // What is mapped is not pinned: it does not leave with its page.
    if (epochs.any([&](State state) {
          return (way.mapped ? state.staying() : state).may_show(word, k);
        }))
      continue;
    const State state = epochs.states.front();
    const bool own = (word & State::tag_mask) == State::own_tag;
    const Wrong stale = way.mapped ? Wrong::StaleLoad : Wrong::Stale;
    oracle_.found(
        own ? stale : Wrong::Foreign,
        "%s of %zu words at word %zu of page %zu: word %zu is %#lx; it may be of "
        "generation %u%s%s, page %zu (%zu states)",
        name_of(way), end - begin, begin, page, k, word, state.generation(),
        state.may_show_zeros() ? " or zero" : "", state.may_be_hole() ? " or a hole" : "",
        state.home(), epochs.count);
    return;
  }
}

void Client::write(const Way &way)
{
  const size_t most = random_.percent(60) ? 8 : 64;
  const size_t count = random_.between(1, most);
  Claim claim(oracle_, random_.below(field_.pages - count), count);
  if (!claim)
    return;
  std::vector<State> before;
  const uint32_t generation = oracle_.new_generation();
  for (size_t i = 0; i < count; i++) {
    before.push_back(oracle_.page(claim.first() + i).current());
    const State state = State::words(generation, claim.first() + i);
    for (size_t k = 0; k < words_per_page; k++)
      buffer_.words()[i * words_per_page + k] = state.first_word() + k;
  }
  claim.begin_words(generation);
  const Outcome outcome =
      move(way, true, claim.first() * words_per_page, count * words_per_page);
  const size_t copied =
      outcome.error == 0 ? static_cast<size_t>(outcome.result) / page : 0;
  oracle_.copies++;
  (way.mapped ? oracle_.stored : oracle_.written) += copied;
  for (size_t i = copied; i < count; i++)
    oracle_.page(claim.first() + i).begin(before.at(i));
  // Stores that a dying owner ended amid a page are seen until all have lost the page.
  if (copied == count || !way.mapped)
    claim.end();
  const bool excused = oracle_.mortal || oracle_.hungry;
  if (copied < count && !excused)
    oracle_.found(outcome.error == 0 || outcome.error == EFAULT ? Wrong::Count
                                                                : Wrong::Error,
                  "%s, write of %zu pages at page %zu: moved %ld bytes, %s", name_of(way),
                  count, claim.first(), outcome.result,
                  outcome.error != 0 ? strerrorname_np(outcome.error) : "no error");
}

} // namespace cma_test
