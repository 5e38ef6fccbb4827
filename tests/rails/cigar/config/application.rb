require_relative "boot"

require "rails"
require "active_record/railtie"
require "action_controller/railtie"
require "action_view/railtie"
require "sprockets/railtie"

module Cigar
  class Application < Rails::Application
    config.load_defaults 6.1

    # What this code is called; the page and /version show it.
    config.x.version = Rails.root.join("VERSION").read.strip
  end
end
