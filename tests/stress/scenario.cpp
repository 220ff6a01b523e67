// SPDX-License-Identifier: MIT OR BSD-2-Clause
// Scenarios put together; see scenario.hpp.
#include "scenario.hpp"
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
  Oracle *oracle;
  Field field;
  pid_t owner;
  uint64_t seed;
};

/// What the threads of one process have in common.
struct Access {
  explicit Access(const Place &place)
      : pidfd(pidfd_open(place.owner)),
        target(names_of(device, place.owner, pidfd, place.oracle->window)),
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
    return Client(*place.oracle, place.field, access.device, access.target, access.views,
                  seed);
  };
  Client one = client(place.seed);
  Client two = client(place.seed + 1);
  place.oracle->clients++;
  std::thread other([&] { two.read_on(second); });
  one.read_on(first);
  other.join();
  return 0;
}

long write_alone(const Place &place, const std::vector<Way> &ways)
{
  Access access(place);
  Client client(*place.oracle, place.field, access.device, access.target, access.views,
                place.seed);
  place.oracle->clients++;
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

Scenario::Scenario(const Plan &plan)
    : plan_(plan),
      oracle_(Oracle::fresh(plan.pages,
                            static_cast<unsigned>(plan.milliseconds * settings().scale))),
      field_(make_field(plan.kind, plan.pages)), seed_(seed_of_test()),
      fills_(counter("fills"))
{
  field_.uniform = plan.uniform;
  plan_.writer = plan.writer && !settings().read_only;
  for (size_t i = 0; i < static_cast<size_t>(Op::Kinds); i++)
    if (const auto op = static_cast<Op>(i); plan.must.has(op))
      oracle_.want(op);
  plan_.mapped = plan.mapped && plan.device;
  if (plan_.mapped)
    oracle_.want_mapped(plan_.writer);
  if (settings().read_only)
    oracle_.want_stale();
  owner_ = std::make_unique<Peer>([this] { settle_field(oracle_, field_); });
}

Scenario::~Scenario()
{
  clients_.clear();
  owner_.reset();
  if (field_.file >= 0)
    close(field_.file);
  oracle_.release();
}

void Scenario::start_owner(End end, unsigned end_us)
{
  struct Work {
    Oracle *oracle;
    Field field;
    Plan plan;
    uint64_t seed;
    End end;
    unsigned end_us;
  };
  const Work work = {&oracle_, field_, plan_, seed_, end, end_us};
  owner_->post([work]() -> long {
    Owner author(*work.oracle, work.field, work.seed);
    Owner mover(*work.oracle, work.field, work.seed + 1);
    std::thread keeping([&] {
      if (!work.plan.mover.empty())
        mover.move_pages(work.plan.mover, work.plan.mover_us);
    });
    std::thread ending([&] { end_owner(work.end, work.end_us); });
    author.author(work.plan.author, work.plan.author_us);
    keeping.join();
    ending.join();
    return 0;
  });
}

void Scenario::start_traffic()
{
  const Place place = {&oracle_, field_, owner_->pid(), seed_ + 100};
  const Plan plan = plan_;
  const auto start = [&] {
    return clients_.emplace_back(std::make_unique<Peer>()).get();
  };
  start()->post([=] { return read_by_two(place, mix_of(plan), mix_of(plan)); });
  start()->post([=] {
    const Place other = {place.oracle, place.field, place.owner, place.seed + 10};
    return read_by_two(other, mix_of(plan), by_system_call);
  });
  if (plan_.writer)
    start()->post([=] {
      const Place other = {place.oracle, place.field, place.owner, place.seed + 20};
      return write_alone(other, mix_of(plan));
    });
  while (oracle_.clients < clients_.size())
    usleep(1000);
}

void Scenario::finish_owner()
{
  EXPECT_EQ(owner_->answer(), 0);
}

void Scenario::finish_traffic()
{
  for (const auto &client : clients_)
    EXPECT_EQ(client->answer(), 0);
  clients_.clear();
}

void Scenario::run()
{
  start_traffic();
  start_owner();
  finish_traffic();
  finish_owner();
  expect_sound();
}

void Scenario::expect_sound()
{
  printf("  seed %lu: %lu copies, %lu pages judged, %lu changed too often to judge",
         settings().seed, oracle_.copies.load(), oracle_.judged.load(),
         oracle_.unjudged.load());
  if (plan_.writer)
    printf(", %lu pages written", oracle_.written.load());
  if (plan_.mapped)
    printf(", %lu pages loaded with %lu stops, %lu stored", oracle_.loaded.load(),
           oracle_.missed.load(), oracle_.stored.load());
  if (plan_.device)
    printf(", %lu words by reductions", oracle_.reduced.load());
  for (size_t i = 0; i < static_cast<size_t>(Op::Kinds); i++)
    if (const auto op = static_cast<Op>(i); oracle_.done(op) > 0)
      printf(", %lu %s", oracle_.done(op), name_of(op));
  printf("\n");
  oracle_.print_findings();
  testing::Test::RecordProperty("stale", static_cast<int>(oracle_.found(Wrong::Stale)));
  testing::Test::RecordProperty("stale_load",
                                static_cast<int>(oracle_.found(Wrong::StaleLoad)));
  testing::Test::RecordProperty("foreign",
                                static_cast<int>(oracle_.found(Wrong::Foreign)));
  EXPECT_EQ(oracle_.found(Wrong::Stale), 0U) << "copies with stale bytes";
  EXPECT_EQ(oracle_.found(Wrong::StaleLoad), 0U) << "loads of stale bytes from mappings";
  EXPECT_EQ(oracle_.found(Wrong::Foreign), 0U)
      << "copies with bytes that never were there";
  EXPECT_EQ(oracle_.found(Wrong::Leak), 0U) << "writes across a fork";
  EXPECT_EQ(oracle_.found(Wrong::Count), 0U) << "wrong counts";
  EXPECT_EQ(oracle_.found(Wrong::Error), 0U) << "wrong errors";
  // Else the test has seen nothing.
  EXPECT_GT(oracle_.judged, 500U);
  EXPECT_LT(oracle_.unjudged, oracle_.judged);
  EXPECT_GT(oracle_.changes(), 0U);
  if (plan_.mapped) {
    EXPECT_GE(oracle_.loaded, Oracle::least_loads) << "pages seen through mappings";
    EXPECT_TRUE(oracle_.stored > 0 || !plan_.writer) << "nothing went into mappings";
  }
  for (size_t i = 0; i < static_cast<size_t>(Op::Kinds); i++)
    if (const auto op = static_cast<Op>(i); plan_.must.has(op)) {
      EXPECT_GT(oracle_.done(op), 0U) << name_of(op);
    }
  if (plan_.device && fills_) {
    EXPECT_GT(counter("fills"), fills_) << "nothing went through the cache";
  }
}

} // namespace cma_test
