// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// The C++ header: owners, views, errors. What the calls do is tested in C.
#include "support.hpp"
#include <cma.hpp>
#include <gmock/gmock.h>
#include <string_view>
#include <unistd.h>

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

namespace {

static_assert(!std::is_copy_constructible_v<cma::Context>);
static_assert(!std::is_copy_assignable_v<cma::Context>);
static_assert(std::is_nothrow_move_constructible_v<cma::Context>);
static_assert(!std::is_copy_constructible_v<cma::Handle>);
static_assert(std::is_nothrow_move_assignable_v<cma::Handle>);
// A container that may not be written is no place to read into.
static_assert(!std::is_constructible_v<cma::View, const std::vector<int> &>);
static_assert(std::is_constructible_v<cma::ConstView, cma::View>);

class CppTest : public testing::Test {
protected:
  static std::error_code code(int error) { return {error, std::generic_category()}; }

  cma::Context context{CMA_OPEN_SYSCALL};
  cma::Peer self = cma::pid(::getpid());
};

TEST_F(CppTest, Views)
{
  int array[3] = {};
  const std::vector<short> vector(5);
  EXPECT_EQ(cma::View(array).size(), sizeof(array));
  EXPECT_EQ(static_cast<void *>(cma::View(array).data()), array);
  EXPECT_EQ(cma::ConstView(vector).size(), 10U);
  EXPECT_EQ(cma::ConstView(std::string_view("abc")).size(), 3U);
  cma::View view(array, 7);
  EXPECT_EQ(cma::View(view).size(), 7U);
  EXPECT_EQ(cma::ConstView(view).data(), view.data());
}

TEST_F(CppTest, ReadsAndWrites)
{
  const std::vector<int> from = {1, 2, 3};
  std::vector<int> to(3);
  EXPECT_EQ(context.read(self, to, address_of(from.data())), sizeof(int) * 3);
  EXPECT_EQ(to, from);
  const std::array<int, 2> more = {8, 9};
  EXPECT_EQ(context.write(self, more, address_of(to.data())), sizeof(more));
  EXPECT_THAT(to, ElementsAre(8, 9, 3));
}

TEST_F(CppTest, ObjectsAndWholes)
{
  double number = 1.5;
  EXPECT_EQ(context.load<double>(self, address_of(&number)), 1.5);
  context.store(self, 2.5, address_of(&number));
  EXPECT_EQ(number, 2.5);
  int numbers[2] = {};
  context.store_from(self, std::vector<int>{3, 4}, address_of(numbers));
  std::vector<int> back(2);
  context.load_into(self, back, address_of(numbers));
  EXPECT_THAT(back, ElementsAre(3, 4));
}

TEST_F(CppTest, ShortIsAnErrorForWholes)
{
  const Pages memory(2);
  memory.unmap(1);
  std::vector<char> buffer(2 * page_size());
  EXPECT_EQ(context.read(self, buffer, address_of(memory.data())), page_size());
  try {
    context.load_into(self, buffer, address_of(memory.data()));
    FAIL() << "no exception";
  } catch (const std::system_error &error) {
    EXPECT_EQ(error.code(), std::errc::bad_address);
    EXPECT_THAT(error.what(), HasSubstr("after " + std::to_string(page_size()) + " of " +
                                        std::to_string(buffer.size())));
  }
  EXPECT_THROW(context.store_from(self, buffer, address_of(memory.data())),
               std::system_error);
}

TEST_F(CppTest, ErrorsAreExceptionsThatExplain)
{
  try {
    context.load<int>(cma::pid(0), 0x1000);
    FAIL() << "no exception";
  } catch (const std::system_error &error) {
    EXPECT_EQ(error.code(), code(ESRCH));
    EXPECT_THAT(error.what(), StartsWith("cma_read: There is no process 0"));
    EXPECT_THAT(error.what(), EndsWith("exited."));
  }
  EXPECT_THROW(context.store(cma::pid(0), 1, 0x1000), std::system_error);
  EXPECT_THROW(context.open(cma::pid(0)), std::system_error);
  EXPECT_THROW(cma::Context(CMA_OPEN_DEVICE | CMA_OPEN_SYSCALL), std::system_error);
  cma_request request = {};
  EXPECT_THROW(context.copy(request), std::system_error);
  EXPECT_THAT(context.explain(cma::pid(0), code(ESRCH)), HasSubstr("no process 0"));
  EXPECT_THAT(context.explain(CMA_CALL_WINDOW_CREATE, {}, code(EINVAL)),
              HasSubstr("0666"));
}

TEST_F(CppTest, ErrorsAreCodesOnDemand)
{
  std::error_code error = code(EDOM);
  int value = 5;
  EXPECT_EQ(context.read(self, cma::View(&value, 4), address_of(&value), error), 4U);
  EXPECT_FALSE(error);
  EXPECT_EQ(context.read(cma::pid(0), cma::View(&value, 4), 0, error), 0U);
  EXPECT_EQ(error, code(ESRCH));
  EXPECT_EQ(context.write(self, cma::ConstView(&value, 4), address_of(&value), error),
            4U);
  EXPECT_FALSE(error);
  EXPECT_EQ(context.write(self, cma::ConstView(&value, 4), 8, error), 0U);
  EXPECT_EQ(error, code(EFAULT));
  EXPECT_FALSE(context.open(cma::pid(0), error));
  EXPECT_EQ(error, code(ESRCH));
  EXPECT_TRUE(context.open(self, error));
  EXPECT_FALSE(error);
  const cma::Context none(1U << 31, error);
  EXPECT_EQ(error, code(EINVAL));
  EXPECT_FALSE(none);
  EXPECT_EQ(none.backend(), CMA_BACKEND_NONE);
}

TEST_F(CppTest, EverythingTogether)
{
  char from[] = "four";
  char to[5] = "";
  const iovec remote = {from, 5};
  const iovec local = {to, 5};
  cma_request request = {};
  request.peer = self;
  request.local = &local;
  request.remote = &remote;
  request.local_count = request.remote_count = 1;
  EXPECT_EQ(context.copy(request), 5U);
  EXPECT_STREQ(to, from);
  EXPECT_EQ(context.limits().backend, CMA_BACKEND_SYSCALL);
  EXPECT_EQ(context.backend(), cma_backend(context.get()));
}

TEST_F(CppTest, HandlesAreOwned)
{
  const size_t before = open_descriptors();
  int value = 3;
  {
    cma::Handle handle = context.open(self);
    EXPECT_EQ(open_descriptors(), before + 1);
    cma::Handle moved = std::move(handle);
    EXPECT_FALSE(handle); // NOLINT(bugprone-use-after-move): moved from is empty
    EXPECT_EQ(context.load<int>(moved, address_of(&value)), 3);
    EXPECT_THROW(context.load<int>(handle, address_of(&value)), std::system_error);
    moved = context.open(self);
    EXPECT_EQ(open_descriptors(), before + 1);
  }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(CppTest, ContextsAreOwned)
{
  const size_t before = open_descriptors();
  int value = 3;
  {
    cma::Context one(CMA_OPEN_SYSCALL);
    cma::Handle handle = one.open(self);
    cma::Context other = std::move(one);
    EXPECT_FALSE(one); // NOLINT(bugprone-use-after-move): moved from is empty
    EXPECT_EQ(other.load<int>(handle, address_of(&value)), 3);
    handle = cma::Handle();
    other = cma::Context(CMA_OPEN_SYSCALL);
    EXPECT_EQ(other.load<int>(self, address_of(&value)), 3);
  }
  EXPECT_EQ(open_descriptors(), before);
}

} // namespace
