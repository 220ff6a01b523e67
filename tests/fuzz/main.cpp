// SPDX-License-Identifier: MIT OR BSD-2-Clause
/*
 * The fuzzer: inputs that reach a place of the module which none reached before are
 * kept, and varied. Each one is told before it runs: whatever ends the machine, the
 * last line names what did it. See tests/fuzz/run.
 */
#include "world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <string_view>

namespace {

using namespace cma_fuzz;

struct Kept {
  Input input;
  Reached reached;
};

struct Settings {
  unsigned long seed = 1;
  unsigned long seconds = 60;
  unsigned long times = 1; ///< that each input of the corpus is run
  std::string corpus;
  std::string out;
};

std::vector<Input> inputs_of(const std::string &path)
{
  std::vector<Input> inputs;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#'))
      continue;
    const auto input = input_of(line);
    if (!input || input->empty()) {
      fprintf(stderr, "%s: no input: %s\n", path.c_str(), line.c_str());
      exit(2);
    }
    inputs.push_back(*input);
  }
  return inputs;
}

/// The fewest of them, about, that reach as much.
void save(std::vector<Kept> corpus, const std::string &path)
{
  std::ofstream file(path);
  Reached covered;
  while (!corpus.empty()) {
    auto best = std::max_element(
        corpus.begin(), corpus.end(), [&](const Kept &one, const Kept &other) {
          return (one.reached & ~covered).count() < (other.reached & ~covered).count();
        });
    if ((best->reached & ~covered).none())
      break;
    covered |= best->reached;
    file << text_of(best->input) << '\n';
    corpus.erase(best);
  }
}

class Fuzzer {
public:
  explicit Fuzzer(const Settings &settings) : settings_(settings), random_(settings.seed)
  {
  }

  /// False if somebody saw what he should not.
  bool try_out(const Input &input)
  {
    printf("%lu: %s\n", ++inputs_, text_of(input).c_str());
    fflush(stdout);
    const Reached reached = run(input);
    if (shared().wrong) {
      printf("FAILED: what was read is not what process_vm_readv() reads\n");
      return false;
    }
    if ((reached & ~all_).any()) {
      all_ |= reached;
      corpus_.push_back({input, reached});
    }
    return true;
  }

  bool loop()
  {
    using Clock = std::chrono::steady_clock;
    for (const Input &input : inputs_of(settings_.corpus))
      for (unsigned long time = 0; time < settings_.times; time++)
        if (!try_out(input))
          return false;
    const size_t before = all_.count();
    const auto end = Clock::now() + std::chrono::seconds(settings_.seconds);
    while (Clock::now() < end)
      if (!try_out(next()))
        return false;
    if (!settings_.out.empty())
      save(corpus_, settings_.out);
    printf("seed %lu: %lu inputs, %zu places reached, %zu of them by the corpus\n",
           settings_.seed, inputs_, all_.count(), before);
    return true;
  }

private:
  Input next()
  {
    if (corpus_.empty() || random_() % 8 == 0)
      return invent(random_);
    const auto &one = corpus_[random_() % corpus_.size()].input;
    const auto &other = corpus_[random_() % corpus_.size()].input;
    return vary(random_, one, other);
  }

  Settings settings_;
  Random random_;
  unsigned long inputs_ = 0;
  Reached all_;
  std::vector<Kept> corpus_;
};

} // namespace

int main(int argc, char **argv)
{
  Settings settings;
  for (int i = 1; i < argc; i++) {
    const std::string_view word = argv[i];
    if (word == "--after-exec")
      return after_exec();
    if (word.starts_with("--corpus="))
      settings.corpus = word.substr(9);
    else if (word.starts_with("--out="))
      settings.out = word.substr(6);
    else if (sscanf(argv[i], "--seed=%lu", &settings.seed) != 1 &&
             sscanf(argv[i], "--seconds=%lu", &settings.seconds) != 1 &&
             sscanf(argv[i], "--times=%lu", &settings.times) != 1)
      return fprintf(stderr, "unknown: %s\n", argv[i]), 2;
  }
  if (!can_trace())
    return fprintf(stderr, "this kernel does not tell what was reached (CONFIG_KCOV)\n"),
           2;
  try {
    return Fuzzer(settings).loop() ? 0 : 1;
  } catch (const std::exception &error) {
    return fprintf(stderr, "the fuzzer cannot go on: %s\n", error.what()), 2;
  }
}
