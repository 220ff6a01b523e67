// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Scenarios put together; see stage.hpp.
#include "stage.hpp"
#include "system.hpp"

#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

namespace cma_test {
namespace {

/// The same for a test whichever tests run before it.
uint64_t seed_of_test()
{
  uint64_t hash = settings().seed;
  const auto *test = testing::UnitTest::GetInstance()->current_test_info();
  for (const char *letter = test->name(); *letter != 0; letter++)
    hash = (hash ^ static_cast<unsigned char>(*letter)) * 0x100000001b3;
  return hash;
}

struct Place {
  Board *board;
  Field field;
  pid_t owner;
  uint64_t seed;
};

/// What the threads of one process have in common.
struct Access {
  explicit Access(const Place &place)
      : pidfd(pidfd_open(place.owner)),
        target(names_of(device, place.owner, pidfd, place.board->window)),
        views(place.field, device, target)
  {
  }

  Device device;
  Fd pidfd;
  Target target;
  Views views;
};

/// Two threads of one process, through one open file.
long read_by_two(const Place &place, const std::vector<Way> &first,
                 const std::vector<Way> &second)
{
  Access access(place);
  const auto client = [&](uint64_t seed) {
    return Client(*place.board, place.field, access.device, access.target, access.views,
                  seed);
  };
  Client one = client(place.seed);
  Client two = client(place.seed + 1);
  place.board->clients++;
  std::thread other([&] { two.read_on(second); });
  one.read_on(first);
  other.join();
  return 0;
}

long write_alone(const Place &place, const std::vector<Way> &ways)
{
  Access access(place);
  Client client(*place.board, place.field, access.device, access.target, access.views,
                place.seed);
  place.board->clients++;
  client.write_on(ways);
  return 0;
}

void end_owner(End end, unsigned end_us)
{
  if (end == End::WithTheTime)
    return;
  usleep(end_us);
  if (end == End::Exit)
    _exit(0);
  if (end == End::Exec)
    execl("/proc/self/exe", "cma-stress-tests", "--helper", "sleep", nullptr);
  while (true) { // until the kernel ends it
    const Buffer meal(size_t{1} << 27);
    for (size_t i = 0; i < size_t{1} << 24; i += words_per_page)
      meal.words()[i] = i;
  }
}

const std::vector<Way> by_system_call = {{Route::Syscall}};

std::vector<Way> mix_of(const Plan &plan)
{
  return plan.device ? device_mix(plan.mapped) : by_system_call;
}

} // namespace

Settings &settings()
{
  static Settings settings;
  return settings;
}

Stage::Stage(const Plan &plan)
    : plan_(plan),
      board_(Board::fresh(plan.pages,
                          static_cast<unsigned>(plan.milliseconds * settings().scale))),
      field_(make_field(plan.kind, plan.pages)), seed_(seed_of_test()),
      fills_(counter("fills"))
{
  field_.uniform = plan.uniform;
  plan_.writer = plan.writer && !settings().read_only;
  for (size_t i = 0; i < static_cast<size_t>(Op::Kinds); i++)
    if (const auto op = static_cast<Op>(i); plan.must.has(op))
      board_.want(op);
  plan_.mapped = plan.mapped && plan.device;
  if (plan_.mapped)
    board_.want_mapped(plan_.writer);
  if (settings().read_only)
    board_.want_stale();
  owner_ = std::make_unique<Peer>([this] { settle_field(board_, field_); });
}

Stage::~Stage()
{
  clients_.clear();
  owner_.reset();
  if (field_.file >= 0)
    close(field_.file);
  board_.release();
}

void Stage::start_owner(End end, unsigned end_us)
{
  struct Work {
    Board *board;
    Field field;
    Plan plan;
    uint64_t seed;
    End end;
    unsigned end_us;
  };
  const Work work = {&board_, field_, plan_, seed_, end, end_us};
  owner_->post([work]() -> long {
    Owner author(*work.board, work.field, work.seed);
    Owner keeper(*work.board, work.field, work.seed + 1);
    std::thread keeping([&] {
      if (!work.plan.keeper.empty())
        keeper.keep(work.plan.keeper, work.plan.keeper_us);
    });
    std::thread ending([&] { end_owner(work.end, work.end_us); });
    author.author(work.plan.author, work.plan.author_us);
    keeping.join();
    ending.join();
    return 0;
  });
}

void Stage::start_traffic()
{
  const Place place = {&board_, field_, owner_->pid(), seed_ + 100};
  const Plan plan = plan_;
  const auto start = [&] {
    return clients_.emplace_back(std::make_unique<Peer>()).get();
  };
  start()->post([=] { return read_by_two(place, mix_of(plan), mix_of(plan)); });
  start()->post([=] {
    const Place other = {place.board, place.field, place.owner, place.seed + 10};
    return read_by_two(other, mix_of(plan), by_system_call);
  });
  if (plan_.writer)
    start()->post([=] {
      const Place other = {place.board, place.field, place.owner, place.seed + 20};
      return write_alone(other, mix_of(plan));
    });
  while (board_.clients < clients_.size())
    usleep(1000);
}

void Stage::finish_owner()
{
  EXPECT_EQ(owner_->answer(), 0);
}

void Stage::finish_traffic()
{
  for (const auto &client : clients_)
    EXPECT_EQ(client->answer(), 0);
  clients_.clear();
}

void Stage::run()
{
  start_traffic();
  start_owner();
  finish_traffic();
  finish_owner();
  expect_sound();
}

void Stage::expect_sound()
{
  printf("  seed %lu: %lu copies, %lu pages judged, %lu changed too often to judge",
         settings().seed, board_.copies.load(), board_.judged.load(),
         board_.unjudged.load());
  if (plan_.writer)
    printf(", %lu pages written", board_.written.load());
  if (plan_.mapped)
    printf(", %lu pages loaded with %lu stops, %lu stored", board_.loaded.load(),
           board_.missed.load(), board_.stored.load());
  if (plan_.device)
    printf(", %lu words by reductions", board_.reduced.load());
  for (size_t i = 0; i < static_cast<size_t>(Op::Kinds); i++)
    if (const auto op = static_cast<Op>(i); board_.done(op) > 0)
      printf(", %lu %s", board_.done(op), name_of(op));
  printf("\n");
  board_.print_findings();
  testing::Test::RecordProperty("stale", static_cast<int>(board_.found(Wrong::Stale)));
  testing::Test::RecordProperty("stale_load",
                                static_cast<int>(board_.found(Wrong::StaleLoad)));
  testing::Test::RecordProperty("foreign",
                                static_cast<int>(board_.found(Wrong::Foreign)));
  EXPECT_EQ(board_.found(Wrong::Stale), 0U) << "copies with stale bytes";
  EXPECT_EQ(board_.found(Wrong::StaleLoad), 0U) << "loads of stale bytes from mappings";
  EXPECT_EQ(board_.found(Wrong::Foreign), 0U)
      << "copies with bytes that never were there";
  EXPECT_EQ(board_.found(Wrong::Leak), 0U) << "writes across a fork";
  EXPECT_EQ(board_.found(Wrong::Count), 0U) << "wrong counts";
  EXPECT_EQ(board_.found(Wrong::Error), 0U) << "wrong errors";
  // Else the test has seen nothing.
  EXPECT_GT(board_.judged, 500U);
  EXPECT_LT(board_.unjudged, board_.judged);
  EXPECT_GT(board_.changes(), 0U);
  if (plan_.mapped) {
    EXPECT_GE(board_.loaded, Board::least_loads) << "pages seen through mappings";
    EXPECT_TRUE(board_.stored > 0 || !plan_.writer) << "nothing went into mappings";
  }
  for (size_t i = 0; i < static_cast<size_t>(Op::Kinds); i++)
    if (const auto op = static_cast<Op>(i); plan_.must.has(op)) {
      EXPECT_GT(board_.done(op), 0U) << name_of(op);
    }
  if (plan_.device && fills_) {
    EXPECT_GT(counter("fills"), fills_) << "nothing went through the cache";
  }
}

} // namespace cma_test
