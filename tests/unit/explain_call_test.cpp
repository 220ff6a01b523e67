// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// cma_explain_call(): every error that cma.h documents, of every call, has words of its
// own, which speak of that call.
#include "device.hpp"
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <set>

using testing::AnyOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

namespace {

const std::map<enum cma_call, std::string> functions = {
    {CMA_CALL_OPEN, "cma_open"},
    {CMA_CALL_QUERY, "cma_query"},
    {CMA_CALL_COPY, "cma_copy"},
    {CMA_CALL_HANDLE_OPEN, "cma_handle_open"},
    {CMA_CALL_HANDLE_CLOSE, "cma_handle_close"},
    {CMA_CALL_WINDOW_CREATE, "cma_window_create"},
    {CMA_CALL_WINDOW_CREATE, "cma_window_publish"},
    {CMA_CALL_WINDOW_DESTROY, "cma_window_destroy"},
    {CMA_CALL_WINDOW_OPEN, "cma_window_open"},
    {CMA_CALL_MAP, "cma_map"},
    {CMA_CALL_UNMAP, "cma_unmap"},
    {CMA_CALL_REDUCE, "cma_reduce"},
};

// The comment before the function's declaration.
std::string documentation(const std::string &function)
{
  const bool of_reduce = function == "cma_reduce";
  std::ifstream file(of_reduce ? CMA_INCLUDE "cma_reduce.h" : CMA_INCLUDE "cma.h");
  const std::string header{std::istreambuf_iterator<char>(file), {}};
  std::smatch found;
  const std::regex declaration("CMA_API [a-z_ ]+\\b" + function + "\\(");
  if (!std::regex_search(header, found, declaration))
    return {};
  const auto at = static_cast<size_t>(found.position());
  const size_t begin = header.rfind("/**", at);
  return header.substr(begin, at - begin);
}

int number_of(const std::string &name)
{
  for (int error = 1; error < 134; error++)
    if (const char *one = ::strerrorname_np(error); one != nullptr && name == one)
      return error;
  ADD_FAILURE() << name << " is no error";
  return 0;
}

std::set<int> documented_errors(const std::string &function)
{
  std::string text = documentation(function);
  text.erase(0, text.find("@return"));
  const std::regex name("-(E[A-Z]+)");
  std::set<int> errors;
  for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at)
    errors.insert(number_of((*at)[1]));
  return errors;
}

std::string explain(const cma_context *context, enum cma_call call, cma_peer peer,
                    int error)
{
  char text[1024] = "";
  const int length = cma_explain_call(context, call, peer, error, text, sizeof(text));
  EXPECT_EQ(static_cast<size_t>(length), std::strlen(text));
  return text;
}

class ExplainCallTest : public testing::Test {
protected:
  [[nodiscard]] std::string words(enum cma_call call, int error, cma_peer peer = {}) const
  {
    return explain(call == CMA_CALL_OPEN ? nullptr : context.get(), call, peer, error);
  }

  Context context = open_context(CMA_OPEN_SYSCALL);
};

TEST_F(ExplainCallTest, EveryDocumentedErrorHasWordsOfItsOwn)
{
  for (const auto &[call, function] : functions) {
    const auto errors = documented_errors(function);
    EXPECT_FALSE(errors.empty()) << function;
    for (const int error : errors) {
      const std::string text = words(call, -error, cma_handle(7));
      SCOPED_TRACE(function + " " + ::strerrorname_np(error) + ": " + text);
      EXPECT_GT(text.size(), 40U);
      EXPECT_THAT(text, Not(HasSubstr(std::strerror(error))));
      EXPECT_THAT(text, EndsWith("."));
      EXPECT_THAT(text, Not(EndsWith("..")));
      EXPECT_THAT(text, Not(HasSubstr("%")));
    }
  }
}

TEST_F(ExplainCallTest, SpeaksOfTheCall)
{
  const auto handle = cma_handle(7);
  EXPECT_THAT(words(CMA_CALL_WINDOW_CREATE, -EINVAL), HasSubstr("0600 or 0666"));
  EXPECT_THAT(words(CMA_CALL_WINDOW_CREATE, -ENOSPC),
              AllOf(HasSubstr("Destroy"), HasSubstr("max_user_windows")));
  for (const auto call : {CMA_CALL_HANDLE_OPEN, CMA_CALL_WINDOW_OPEN})
    EXPECT_THAT(words(call, -ENOSPC),
                AllOf(HasSubstr("max_user_handles"), HasSubstr("max_user_spaces")));
  EXPECT_THAT(words(CMA_CALL_WINDOW_DESTROY, -ENOENT), HasSubstr("alone can destroy"));
  EXPECT_THAT(words(CMA_CALL_WINDOW_OPEN, -EIDRM), HasSubstr("ended by its owner"));
  EXPECT_THAT(words(CMA_CALL_WINDOW_OPEN, -ESRCH), HasSubstr("created the window"));
  EXPECT_THAT(words(CMA_CALL_HANDLE_CLOSE, -ENOENT), HasSubstr("closed before"));
  EXPECT_THAT(words(CMA_CALL_HANDLE_OPEN, -EOPNOTSUPP, handle), HasSubstr("as it is"));
  EXPECT_THAT(words(CMA_CALL_QUERY, -EINVAL), HasSubstr("limits->size"));
  for (const auto call : {CMA_CALL_ANY, CMA_CALL_COPY, CMA_CALL_HANDLE_OPEN}) {
    EXPECT_THAT(words(call, -ENOENT, cma_published(7)),
                HasSubstr("7 publishes no window"));
    EXPECT_THAT(words(call, -EACCES, cma_published(7)), HasSubstr("process 7 publishes"));
    EXPECT_THAT(words(call, -EOPNOTSUPP, cma_published(7)), HasSubstr("need the device"));
  }
  EXPECT_THAT(words(CMA_CALL_MAP, -ENXIO, handle), HasSubstr("whole pages"));
  EXPECT_THAT(words(CMA_CALL_MAP, -EACCES, handle), HasSubstr("PROT_EXEC cannot be had"));
  EXPECT_THAT(words(CMA_CALL_MAP, -ESRCH, handle), HasSubstr("process of handle 7"));
  EXPECT_THAT(words(CMA_CALL_MAP, -ENOENT, handle), HasSubstr("7 is not an open handle"));
  EXPECT_THAT(words(CMA_CALL_UNMAP, -EINVAL), HasSubstr("cma_map() returned"));
  EXPECT_THAT(words(CMA_CALL_COPY, -EACCES, handle), HasSubstr("direction"));
  EXPECT_THAT(words(CMA_CALL_REDUCE, -EINVAL), HasSubstr("reduction"));
  EXPECT_THAT(words(CMA_CALL_REDUCE, -EFAULT), HasSubstr("fault_operand"));
  EXPECT_THAT(words(CMA_CALL_REDUCE, -EOPNOTSUPP), HasSubstr("for integers"));
  EXPECT_THAT(words(CMA_CALL_REDUCE, -EOPNOTSUPP, handle), HasSubstr("need a /proc"));
  EXPECT_THAT(words(CMA_CALL_REDUCE, -ESRCH, handle), HasSubstr("process of handle 7"));
  EXPECT_EQ(words(CMA_CALL_REDUCE, -EIDRM, handle), words(CMA_CALL_COPY, -EIDRM, handle));
}

TEST_F(ExplainCallTest, NamesNobodyThatWasNotAsked)
{
  for (const auto &[call, function] : functions)
    for (const int error : documented_errors(function))
      if (call != CMA_CALL_COPY && call != CMA_CALL_HANDLE_OPEN && call != CMA_CALL_MAP &&
          call != CMA_CALL_REDUCE) {
        EXPECT_THAT(words(call, -error),
                    Not(AnyOf(HasSubstr("process 0"), HasSubstr("andle 0"))))
            << function;
      }
}

TEST_F(ExplainCallTest, WindowsAndMappingsNeedTheDevice)
{
  for (const auto call :
       {CMA_CALL_WINDOW_CREATE, CMA_CALL_WINDOW_OPEN, CMA_CALL_WINDOW_DESTROY})
    EXPECT_THAT(words(call, -EOPNOTSUPP), HasSubstr("opened with CMA_OPEN_SYSCALL"));
  ::setenv("CMA_DEVICE", "/nonexistent/device", 1);
  const Context without = open_context();
  EXPECT_THAT(explain(without.get(), CMA_CALL_WINDOW_CREATE, {}, -EOPNOTSUPP),
              HasSubstr("no /nonexistent/device"));
  if (sizeof(void *) < 8) {
    EXPECT_THAT(words(CMA_CALL_MAP, -EOPNOTSUPP), HasSubstr("32-bit"));
    return;
  }
  EXPECT_THAT(explain(without.get(), CMA_CALL_MAP, {}, -EOPNOTSUPP),
              HasSubstr("Mappings need the device"));
  const testing::NiceMock<Device> device;
  const Context with = open_context();
  EXPECT_THAT(explain(with.get(), CMA_CALL_MAP, {}, -EOPNOTSUPP),
              HasSubstr("modprobe -r cma"));
}

TEST_F(ExplainCallTest, AnUnknownCallIsAny)
{
  for (const int call : {-1, 0, 12, 1000})
    EXPECT_EQ(words(static_cast<enum cma_call>(call), -ENOENT, cma_handle(5)),
              words(CMA_CALL_COPY, -ENOENT, cma_handle(5)));
  EXPECT_EQ(explain(nullptr, CMA_CALL_MAP, {}, -EPROTO), words(CMA_CALL_OPEN, -EPROTO));
}

} // namespace
