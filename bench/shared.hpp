// SPDX-License-Identifier: MIT OR BSD-2-Clause
//
// What is done where no process may reach into another: the owner copies its
// memory into shared memory, the caller copies it out, both at once, fragment
// by fragment through a ring, as MPI libraries do. Both poll.

#pragma once

#include "mechanism.hpp"

#include <memory>

namespace bench {

/// The owner's side: a process that is stopped but while a Call of
/// double_copy() exists, so that its polling takes nothing from others.
class Sender {
public:
  Sender();
  ~Sender();
  Sender(const Sender &) = delete;
  Sender(Sender &&) = delete;
  Sender &operator=(const Sender &) = delete;
  Sender &operator=(Sender &&) = delete;

  /// The one memory that it sends.
  [[nodiscard]] Place place() const { return peer_->place(Pages::kScattered); }

  /// A mechanism that reads, from place() only.
  [[nodiscard]] Mechanism double_copy();

  struct Ring;

private:
  [[noreturn]] static void serve(Ring &ring, const std::byte *memory);
  [[nodiscard]] ssize_t receive(const iovec &target);

  /// @return what, while it lives, keeps the sender running
  [[nodiscard]] std::shared_ptr<void> wake() const;

  Ring *ring_;
  std::unique_ptr<Peer> peer_;
};

} // namespace bench
