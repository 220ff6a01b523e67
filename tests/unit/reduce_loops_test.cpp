// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The loops that reductions are computed by, for every processor that there are loops
// for: the same bits as one element at a time, whatever the length, the place and the
// mode that the thread computes in.
#include "../../userlib/reduce_loops.hpp"
#include "reduce_reference.hpp"
#include <algorithm>
#include <array>
#include <gtest/gtest.h>
#include <numeric>

#if defined(__x86_64__) || defined(__i386__)
#include <xmmintrin.h>
#endif

namespace {

using reference::Bytes;

std::string name_of(cma::Vectors vectors)
{
  return vectors == cma::Vectors::plain ? "Plain" : "Avx2";
}

class LoopTest : public testing::TestWithParam<cma::Vectors> {
protected:
  void SetUp() override
  {
    if (GetParam() != cma::Vectors::plain && GetParam() != cma::best_vectors())
      GTEST_SKIP() << "this processor has no " << name_of(GetParam());
  }

  // One call on so many elements, each of the three somewhere in its memory, around which
  // no byte may change.
  void compare(std::uint32_t op, std::uint32_t type, std::size_t count, bool in_place)
  {
    const std::size_t size = reference::size_of(type);
    const std::size_t bytes = count * size + 64;
    Bytes left(bytes);
    Bytes right(bytes);
    Bytes into(bytes);
    const std::size_t here = random() % 33;
    const std::size_t there = random() % 33;
    const std::size_t result = in_place ? here : random() % 33;
    reference::fill(type, &left[here], count, random);
    reference::fill(type, &right[there], count, random);
    if (in_place)
      into = left;

    Bytes expected = into;
    std::memcpy(&expected[result], &left[here], count * size);
    reference::reduce(op, type, &expected[result], &right[there], count);
    const cma::Loop loop = cma::find_loop(op, type, GetParam());
    ASSERT_NE(loop, nullptr);
    loop(&into[result], in_place ? &into[here] : &left[here], &right[there], count);
    for (std::size_t i = 0; i < bytes; i++)
      ASSERT_EQ(into[i], expected[i])
          << "byte " << i << " of " << count << " elements from byte " << result;
  }

  template<typename Half>
  void compare_every(std::uint32_t type)
  {
    constexpr int all = 1 << 16;
    std::vector<std::uint16_t> halves(all);
    std::iota(halves.begin(), halves.end(), 0);
    auto others = reference::special_values<Half>();
    for (const double value : {0.5, 0.75, 1 + 1. / 128, 1. / 4096, 257. / 65536})
      others.push_back(value);
    for (int i = 0; i < 5; i++)
      others.push_back(Half::of_bits(static_cast<int>(random() % all)));
    for (const Half other : others)
      for (std::uint32_t op = CMA_OP_SUM; op <= CMA_OP_MAX; op++) {
        const std::vector<std::uint16_t> same(all, other.bits);
        auto expected = halves;
        reference::reduce(op, type, reinterpret_cast<std::uint8_t *>(expected.data()),
                          reinterpret_cast<const std::uint8_t *>(same.data()), all);
        auto result = halves;
        cma::find_loop(op, type, GetParam())(result.data(), result.data(), same.data(),
                                             all);
        const auto [is, ought] =
            std::mismatch(result.begin(), result.end(), expected.begin());
        ASSERT_EQ(is, result.end()) << "op " << op << " type " << type << std::hex
                                    << " of " << is - result.begin() << " and "
                                    << other.bits << ": " << *is << ", not " << *ought;
      }
  }

  std::mt19937_64 random{13};
};

INSTANTIATE_TEST_SUITE_P(Loops, LoopTest,
                         testing::Values(cma::Vectors::plain, cma::Vectors::avx2),
                         [](const auto &info) { return name_of(info.param); });

TEST_P(LoopTest, OneElementAtATime)
{
  reference::for_each_op([&](std::uint32_t op, std::uint32_t type) {
    SCOPED_TRACE(testing::Message() << "op " << op << " type " << type);
    for (std::size_t count = 0; count < 70; count++)
      compare(op, type, count, count % 2 == 0);
    for (int i = 0; i < 20; i++)
      compare(op, type, random() % 700, i % 2 == 0);
  });
}

TEST_P(LoopTest, EveryPairOfSpecialValues)
{
  reference::for_each_op([&](std::uint32_t op, std::uint32_t type) {
    SCOPED_TRACE(testing::Message() << "op " << op << " type " << type);
    reference::with_type(type, [&](auto zero) {
      using T = decltype(zero);
      const auto values = reference::special_values<T>();
      for (std::size_t shift = 0; shift < values.size(); shift++) {
        auto so_far = values;
        auto more = values;
        std::rotate(more.begin(), more.begin() + static_cast<long>(shift), more.end());
        auto expected = so_far;
        const std::size_t bytes = values.size() * sizeof(T);
        reference::reduce(op, type, reinterpret_cast<std::uint8_t *>(expected.data()),
                          reinterpret_cast<const std::uint8_t *>(more.data()),
                          values.size());
        cma::find_loop(op, type, GetParam())(so_far.data(), so_far.data(), more.data(),
                                             values.size());
        EXPECT_EQ(std::memcmp(so_far.data(), expected.data(), bytes), 0) << shift;
      }
    });
  });
}

// What the documentation says, in numbers.
TEST_P(LoopTest, ZerosNansAndInfinities)
{
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto bits = [&](std::uint32_t op, double a, double b) {
    cma::find_loop(op, CMA_TYPE_DOUBLE, GetParam())(&a, &a, &b, 1);
    std::uint64_t result;
    std::memcpy(&result, &a, sizeof(a));
    return result;
  };
  const auto bits_of = [](double value) {
    std::uint64_t result;
    std::memcpy(&result, &value, sizeof(value));
    return result;
  };
  for (const auto op : {CMA_OP_MIN, CMA_OP_MAX}) {
    EXPECT_EQ(bits(op, nan, 1), bits_of(1));
    EXPECT_EQ(bits(op, 1, nan), bits_of(nan));
    EXPECT_EQ(bits(op, -0.0, 0.0), bits_of(0.0));
    EXPECT_EQ(bits(op, 0.0, -0.0), bits_of(-0.0));
  }
  EXPECT_EQ(bits(CMA_OP_SUM, infinity, -infinity), 0xfff8000000000000);
  EXPECT_EQ(bits(CMA_OP_PRODUCT, 0, infinity), 0xfff8000000000000);
  EXPECT_EQ(bits(CMA_OP_SUM, -0.0, 0.0), bits_of(0.0));
  const double tiny = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(bits(CMA_OP_SUM, tiny, tiny), 2U);
}

// The same of 16 bits: of binary16, and of bfloat16.
TEST_P(LoopTest, ZerosNansAndInfinitiesOfHalves)
{
  const auto check = [&](std::uint32_t op, std::uint32_t type, std::uint16_t a,
                         std::uint16_t b, std::uint16_t expected) {
    cma::find_loop(op, type, GetParam())(&a, &a, &b, 1);
    EXPECT_EQ(a, expected) << std::hex << "op " << op << " type " << type << " of " << b;
  };
  const auto both = [&](std::uint32_t op, const std::array<int, 3> &of_float16,
                        const std::array<int, 3> &of_bfloat16) {
    const auto number = [](int bits) { return static_cast<std::uint16_t>(bits); };
    for (const bool brain : {false, true}) {
      const auto &[a, b, expected] = brain ? of_bfloat16 : of_float16;
      check(op, brain ? CMA_TYPE_BFLOAT16 : CMA_TYPE_FLOAT16, number(a), number(b),
            number(expected));
    }
  };
  for (const auto op : {CMA_OP_SUM, CMA_OP_PRODUCT}) {
    both(op, {0x7c01, 0x3c00, 0x7e01}, {0x7f81, 0x3f80, 0x7fc1}); // NaN and 1
    both(op, {0x3c00, 0xfd55, 0xff55}, {0x3f80, 0xffaa, 0xffea}); // 1 and NaN
    both(op, {0x7c03, 0xfe04, 0x7e03}, {0x7f83, 0xffc4, 0x7fc3}); // two of them
  }
  both(CMA_OP_SUM, {0x7c00, 0xfc00, 0xfe00}, {0x7f80, 0xff80, 0xffc0});
  both(CMA_OP_PRODUCT, {0x8000, 0x7c00, 0xfe00}, {0x8000, 0x7f80, 0xffc0});
  both(CMA_OP_SUM, {0x8000, 0x0000, 0x0000}, {0x8000, 0x0000, 0x0000});
  both(CMA_OP_SUM, {0x0001, 0x0001, 0x0002}, {0x0001, 0x0001, 0x0002});     // denormals
  both(CMA_OP_PRODUCT, {0x0001, 0x3800, 0x0000}, {0x0001, 0x3f00, 0x0000}); // half of one
  both(CMA_OP_PRODUCT, {0x0003, 0x3800, 0x0002}, {0x0003, 0x3f00, 0x0002});
  both(CMA_OP_SUM, {0x7bff, 0x4bff, 0x7bff}, {0x7f7f, 0x7aff, 0x7f7f}); // just finite
  both(CMA_OP_SUM, {0x7bff, 0x4c00, 0x7c00}, {0x7f7f, 0x7b00, 0x7f80});
  both(CMA_OP_SUM, {0x3c00, 0x1000, 0x3c00}, {0x3f80, 0x3b80, 0x3f80}); // ties
  both(CMA_OP_SUM, {0x3c01, 0x1000, 0x3c02}, {0x3f81, 0x3b80, 0x3f82});
  for (const auto op : {CMA_OP_MIN, CMA_OP_MAX}) {
    both(op, {0x7c01, 0x3c00, 0x3c00}, {0x7f81, 0x3f80, 0x3f80});
    both(op, {0x3c00, 0xfc01, 0xfc01}, {0x3f80, 0xff81, 0xff81}); // not made quiet
    both(op, {0x8000, 0x0000, 0x0000}, {0x8000, 0x0000, 0x0000});
    both(op, {0x0000, 0x8000, 0x8000}, {0x0000, 0x8000, 0x8000});
  }
  both(CMA_OP_MIN, {0x8002, 0x8001, 0x8002}, {0x8002, 0x8001, 0x8002});
  both(CMA_OP_MAX, {0x8002, 0x8001, 0x8001}, {0x8002, 0x8001, 0x8001});
  both(CMA_OP_MIN, {0x7c00, 0xfc00, 0xfc00}, {0x7f80, 0xff80, 0xff80});
}

// With what makes ties of it, too large and too small results, and random bits.
TEST_P(LoopTest, EveryHalf)
{
  compare_every<reference::Float16>(CMA_TYPE_FLOAT16);
  compare_every<reference::Bfloat16>(CMA_TYPE_BFLOAT16);
}

#if defined(__x86_64__) || defined(__i386__)
TEST_P(LoopTest, TheThreadsModeIsNeitherUsedNorChanged)
{
  constexpr unsigned int flush = 0x8040; // results and operands that are denormal
  constexpr unsigned int upwards = 0x4000;
  for (const unsigned int mode :
       {0x1f80U | flush, 0x1f80U | upwards, 0U, 0x1fbfU, 0x003fU | flush}) {
    SCOPED_TRACE(mode);
    reference::for_each_op([&](std::uint32_t op, std::uint32_t type) {
      SCOPED_TRACE(testing::Message() << "op " << op << " type " << type);
      if (!reference::is_float_type(type))
        return;
      constexpr std::size_t count = 101;
      Bytes left(count * 8);
      Bytes right(count * 8);
      reference::fill(type, left.data(), count, random);
      reference::fill(type, right.data(), count, random);
      Bytes expected = left;
      reference::reduce(op, type, expected.data(), right.data(), count);
      const cma::Loop loop = cma::find_loop(op, type, GetParam());
      const unsigned int before = _mm_getcsr();
      _mm_setcsr(mode);
      loop(left.data(), left.data(), right.data(), count);
      const unsigned int after = _mm_getcsr();
      _mm_setcsr(before);
      EXPECT_EQ(after, mode);
      EXPECT_TRUE(left == expected);
    });
  }
}
#endif

TEST_P(LoopTest, NoneForWhatIsNotDefined)
{
  for (std::uint32_t type = CMA_TYPE_FLOAT; type <= CMA_TYPE_BFLOAT16; type++)
    for (std::uint32_t op = CMA_OP_BAND; op <= CMA_OP_LXOR; op++)
      EXPECT_EQ(cma::find_loop(op, type, GetParam()), nullptr);
  EXPECT_EQ(cma::find_loop(CMA_OP_LXOR + 1, CMA_TYPE_INT8, GetParam()), nullptr);
  for (const std::uint32_t none : {0U, CMA_TYPE_BFLOAT16 + 1U, ~0U}) {
    EXPECT_EQ(cma::find_loop(none, CMA_TYPE_INT8, GetParam()), nullptr);
    EXPECT_EQ(cma::find_loop(CMA_OP_SUM, none, GetParam()), nullptr);
    EXPECT_EQ(cma::size_of_type(none), 0U);
  }
  for (std::uint32_t type = CMA_TYPE_INT8; type <= CMA_TYPE_BFLOAT16; type++)
    EXPECT_EQ(cma::size_of_type(type), reference::size_of(type));
}

} // namespace
